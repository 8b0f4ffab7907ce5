//! A real Prometheus, with the files of `config/`: it scrapes, knows every family, loads the alerts; and whatever the dashboard asks
//! is there to be asked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use liege_integration_tests::apps::ZipApp;
use liege_integration_tests::http::free_port;
use liege_integration_tests::scrape::{ANY_PORT, Listener, promtool};
use liege_integration_tests::tools::{PATH, need};
use liege_integration_tests::{Host, LONG, get, get_ok, served, story, wait_for, wait_until};
use nix::sys::signal::Signal;
use serde_json::Value;

fn config(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config").join(name)
}

/// Prometheus, on the loopback interface, with all it has in the story's directory.
struct Prometheus {
    port: u16,
    child: Child,
}

impl Prometheus {
    /// With the sample of `config/`, which scrapes this daemon instead, every second.
    fn start(host: &Host, daemon: Listener) -> Self {
        need("prometheus");
        let sample = fs::read_to_string(config("prometheus.yml")).unwrap();
        let own = sample.replace("127.0.0.1:9153", &format!("127.0.0.1:{}", daemon.port)).replace("15s", "1s");
        assert_ne!(own, sample);
        fs::write(host.path("prometheus.yml"), own).unwrap();
        fs::copy(config("alerts.yml"), host.path("alerts.yml")).unwrap();
        let port = free_port();
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", host.path("prometheus.yml").display()));
        command.arg(format!("--storage.tsdb.path={}", host.path("tsdb").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}")).arg("--log.level=error").env("PATH", PATH);
        let child = command.stdin(Stdio::null()).spawn().expect("prometheus can be executed");
        let prometheus = Self { port, child };
        wait_until("prometheus to be ready", LONG, || get_ok(port, "/-/ready").is_some());
        prometheus
    }

    fn api(&self, path: &str) -> Value {
        let (status, body) = get(self.port, path).unwrap();
        let answer: Value = serde_json::from_str(&body).unwrap_or_else(|e| panic!("{e}: {body}"));
        assert!(status == 200 && answer["status"] == "success", "{path}: {body}");
        answer["data"].clone()
    }

    /// What an expression finds now.
    fn query(&self, expression: &str) -> Vec<Value> {
        let encoded: String = expression.bytes().map(|byte| format!("%{byte:02x}")).collect();
        self.api(&format!("/api/v1/query?query={encoded}"))["result"].as_array().unwrap().clone()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn it_scrapes_knows_and_answers() {
    story(|host| {
        let app = ZipApp::new(host, "app", "text");
        let emperor = host.emperor().arg("--emperor-metrics").arg(ANY_PORT).start();
        let daemon = Listener::of(&emperor);
        emperor.write("app001.ini", &app.checked());
        served(app.port, "text", LONG);
        // One of everything, so that no family is without series.
        emperor.vassal("app001.ini").process("fuse-zip").kill(Signal::SIGKILL);
        daemon.wait_value("liege_recovery_duration_seconds_count", LONG, |recovered| recovered == 1.0);
        let prometheus = Prometheus::start(host, daemon);

        let target = wait_for("a scrape", LONG, || {
            let target = prometheus.api("/api/v1/targets?state=active")["activeTargets"][0].clone();
            target["health"].as_str().is_some_and(|health| health != "unknown").then_some(target)
        });
        assert_eq!((&target["health"], &target["lastError"]), (&"up".into(), &"".into()), "{target}");

        // As OpenMetrics, which it asked for: the types are those of the families.
        let metadata = wait_for("metadata", LONG, || {
            let metadata = prometheus.api("/api/v1/metadata");
            metadata.get("liege_vassal_up").is_some().then_some(metadata)
        });
        let exposed = daemon.open_metrics();
        let families: BTreeMap<&str, &str> = exposed.lines().filter_map(kind).collect();
        assert!(families.len() >= 30, "{families:?}");
        for (family, kind) in &families {
            assert_eq!(metadata[family][0]["type"], *kind, "{family}: {}", metadata[family]);
        }
        let rules = prometheus.api("/api/v1/rules");
        let rules = rules["groups"][0]["rules"].as_array().unwrap();
        assert!(rules.len() >= 6 && rules.iter().all(|rule| rule["lastError"].is_null()), "{rules:?}");

        let names: BTreeSet<String> = prometheus
            .api("/api/v1/label/__name__/values")
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap().to_owned())
            .collect();
        let mut asked = BTreeSet::new();
        for expression in expressions() {
            for name in names_in(&expression) {
                assert!(names.contains(&name), "the dashboard asks for {name}, which does not exist: {expression}");
                asked.insert(name);
            }
            // What compares may find nothing; everything else finds something, when there were two scrapes.
            let compares = expression.contains(" == ") || expression.contains(" > ");
            wait_until(&format!("an answer to {expression}"), LONG, || !prometheus.query(&expression).is_empty() || compares);
        }
        assert!(asked.len() >= 25, "the dashboard shows {asked:?}");
    });
}

fn kind(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("# TYPE ")?.split_once(' ')
}

/// Every `expr` of the dashboard, wherever it stands, with Grafana's variables filled in.
fn expressions() -> Vec<String> {
    fn collect(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                into.extend(fields.get("expr").map(|expr| expr.as_str().expect("a text").to_owned()));
                fields.values().for_each(|field| collect(field, into));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(config("grafana-dashboard.json")).unwrap()).unwrap();
    let mut found = Vec::new();
    collect(&dashboard, &mut found);
    assert!(found.len() >= 30, "{found:?}");
    let filled = |expr: String| expr.replace("$__rate_interval", "1m").replace("$job", "liege").replace("$instance", ".*");
    let filled: Vec<String> = found.into_iter().map(filled).collect();
    assert!(filled.iter().all(|expr| !expr.contains('$')), "{filled:?}");
    filled
}

/// The metrics an expression names: no function of PromQL begins like ours.
fn names_in(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let names: BTreeSet<String> =
        words.filter(|word| word.starts_with("liege_") || word.starts_with("process_")).map(str::to_owned).collect();
    assert!(!names.is_empty(), "asks for none of ours: {expression}");
    names
}

#[test]
fn the_alerts_fire_when_they_should() {
    let alerts = config("alerts.yml");
    let (good, said) = promtool(&["check", "rules", alerts.to_str().unwrap()], "");
    assert!(good, "{said}");
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/alerts/alerts.test.yml");
    let (good, said) = promtool(&["test", "rules", cases.to_str().unwrap()], "");
    assert!(good, "{said}");
    let (cases, alerts) = (fs::read_to_string(cases).unwrap(), fs::read_to_string(alerts).unwrap());
    for alert in alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(cases.contains(&format!("alertname: {alert}\n")), "{alert} fires in no case");
    }
}
