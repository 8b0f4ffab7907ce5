//! A health line is one sample in Prometheus's exposition form; the three log formats can be read by a machine.

use liege_integration_tests::apps::ZipApp;
use liege_integration_tests::scrape::promtool;
use liege_integration_tests::{LONG, served, story};

#[test]
fn text_lines_carry_samples() {
    story(|host| {
        let app = ZipApp::new(host, "app", "text");
        let emperor = host.emperor().arg("--emperor-health-log").arg("1").start();
        emperor.write("app001.ini", &app.checked());
        served(app.port, "text", LONG);
        emperor.wait_log(r#"health: liege_vassal_up{vassal="app001.ini"} 1"#);
        let mount = app.mount.display();
        emperor.wait_log(&format!(r#"liege_mountpoint_up{{vassal="app001.ini",mountpoint="{mount}",state="healthy"}} 1"#));
        let line = emperor.wait_log(&format!(r#"liege_mountpoint_check_seconds{{vassal="app001.ini",mountpoint="{mount}"}} "#));
        let seconds: f64 = line.rsplit(' ').next().unwrap().parse().expect("a sample ends in a number");
        assert!(seconds > 0.0 && seconds < 1.0, "{line}");

        let vassal = emperor.vassal("app001.ini");
        vassal.process("fuse-zip").kill(nix::sys::signal::Signal::SIGKILL);
        emperor.wait_log(r#"liege_vassal_restarts_total{vassal="app001.ini",cause="mountpoint_dead"} 1"#);
    });
}

/// A name that is awkward in JSON, and in a label.
const ODD: &str = "an \"odd\" name\\.ini";
/// And one that is awkward in logfmt. (Its parser leaves doubled backslashes as they are, so there are none.)
const WITH_PAIRS: &str = "a = b vassal=c.ini";

#[test]
fn json_lines_are_json() {
    story(|host| {
        let emperor = host.emperor().arg("--log-format").arg("json").arg("--emperor-health-log").arg("1").start_unheard();
        emperor.wait_log("the emperor is ready");
        emperor.write(ODD, "[vassal]\ncommand = /bin/sleep 1000\nuid = root\n");
        emperor.wait_log("liege_vassal_up");
        let health = emperor.log().into_iter().filter_map(|line| {
            let parsed: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
            assert!(parsed["level"].is_string() && parsed["target"].is_string(), "{line}");
            (parsed["target"] == "health").then(|| parsed["message"].as_str().expect("a message").to_owned())
        });
        are_samples(health.collect(), r#"liege_vassal_up{vassal="an \"odd\" name\\.ini"} 1"#);
    });
}

#[test]
fn logfmt_lines_are_pairs() {
    story(|host| {
        let emperor = host.emperor().arg("--log-format").arg("logfmt").arg("--emperor-health-log").arg("1").start_unheard();
        emperor.wait_log("the emperor is ready");
        emperor.write(WITH_PAIRS, "[vassal]\ncommand = /bin/sleep 1000\nuid = root\n");
        emperor.wait_log("liege_vassal_up");
        let health = emperor.log().into_iter().filter_map(|line| {
            let pairs = logfmt::parse(&line);
            let of = |key: &str| pairs.iter().find(|pair| pair.key == key).and_then(|pair| pair.val.clone());
            for key in ["ts", "level", "target"] {
                assert!(of(key).is_some(), "no {key} in {line}: {pairs:?}");
            }
            (of("target")? == "health").then(|| of("message").expect("a message"))
        });
        are_samples(health.collect(), r#"liege_vassal_up{vassal="a = b vassal=c.ini"} 1"#);
    });
}

/// They are what Prometheus reads, and this is one of them.
fn are_samples(lines: Vec<String>, up: &str) {
    assert!(lines.iter().any(|line| line == up), "{lines:?}");
    // One round of them; the next says the same series again.
    let round: std::collections::BTreeMap<&str, &String> = lines.iter().map(|l| (l.rsplit_once(' ').unwrap().0, l)).collect();
    let text: String = round.values().map(|line| format!("{line}\n")).collect();
    let (_, said) = promtool(&["check", "metrics"], &text);
    // Without their HELP there is something to complain of, but nothing that cannot be read.
    assert!(said.lines().all(|line| line.ends_with("no help text")), "{said}\n{text}");
}
