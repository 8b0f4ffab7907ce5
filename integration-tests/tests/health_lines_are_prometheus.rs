//! A health line is one sample in Prometheus's exposition form; the three log formats can be read by a machine.

use liege_integration_tests::apps::ZipApp;
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

#[test]
fn json_lines_are_json() {
    story(|host| {
        let emperor = host.emperor().arg("--log-format").arg("json").arg("--emperor-health-log").arg("1").start_unheard();
        emperor.write("v.ini", "[vassal]\ncommand = /bin/sleep 1000\n");
        emperor.wait_log("liege_vassal_up");
        for line in emperor.log() {
            let parsed: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
            assert!(parsed["level"].is_string() && parsed["target"].is_string(), "{line}");
        }
    });
}

#[test]
fn logfmt_lines_are_pairs() {
    story(|host| {
        let emperor = host.emperor().arg("--log-format").arg("logfmt").arg("--emperor-health-log").arg("1").start_unheard();
        emperor.write("v.ini", "[vassal]\ncommand = /bin/sleep 1000\n");
        emperor.wait_log("liege_vassal_up");
        for line in emperor.log() {
            for key in ["ts=", "level=", "target="] {
                assert!(line.split(' ').any(|word| word.starts_with(key)), "no {key} in: {line}");
            }
        }
    });
}
