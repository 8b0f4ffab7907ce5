//! What is counted is what has happened: a mount dies, its prober dies, files are bad, an app is reloaded, many fail together, and
//! each of these moves its metric and no other.

use liege_integration_tests::apps::ZipApp;
use liege_integration_tests::gauge::is_helper;
use liege_integration_tests::scrape::{ANY_PORT, Listener};
use liege_integration_tests::{LONG, SHORT, get, procs, served, story, wait_for, wait_until};
use nix::sys::signal::Signal;

#[test]
fn the_life_of_a_vassal_is_counted() {
    story(|host| {
        let app = ZipApp::new(host, "app", "text");
        let emperor = host.emperor().arg("--emperor-metrics").arg(ANY_PORT).start();
        let listener = Listener::of(&emperor);
        let is = |series: &str, expected: f64| listener.wait_value(series, LONG, |value| value == expected);
        let at_least = |series: &str, least: f64| listener.wait_value(series, LONG, |value| value >= least);
        for series in [
            "liege_vassals{phase=\"running\"}",
            "liege_start_duration_seconds_count",
            "liege_ready_duration_seconds_count",
            "liege_check_duration_seconds_count",
            "liege_recovery_duration_seconds_count",
            "liege_reload_duration_seconds_count",
            "liege_fuse_aborts_total",
            "liege_prober_restarts_total",
            "liege_config_errors_total",
        ] {
            assert_eq!(listener.value(series), Some(0.0), "{series}");
        }

        emperor.write("app001.ini", &app.checked());
        served(app.port, "text", LONG);
        is(r#"liege_vassals{phase="running"}"#, 1.0);
        is(r#"liege_vassal_phase{vassal="app001.ini",phase="running"}"#, 1.0);
        is(r#"liege_vassal_ready{vassal="app001.ini"}"#, 1.0);
        is("liege_start_duration_seconds_count", 1.0);
        is("liege_ready_duration_seconds_count", 1.0);
        assert!(at_least("liege_ready_duration_seconds_sum", 0.001) < 60.0);
        at_least("liege_check_duration_seconds_count", 2.0);
        is(r#"liege_mountpoint_changes_total{state="healthy"}"#, 1.0);
        let phase_began = at_least(r#"liege_vassal_phase_start_time_seconds{vassal="app001.ini"}"#, 1e9);
        assert!(phase_began >= at_least("process_start_time_seconds", 1e9), "it began after the daemon");

        let vassal = emperor.vassal("app001.ini");
        vassal.process("fuse-zip").kill(Signal::SIGKILL);
        is(r#"liege_vassal_restarts_total{vassal="app001.ini",cause="mountpoint_dead"}"#, 1.0);
        is(r#"liege_ends_total{cause="mountpoint_dead"}"#, 1.0);
        is(r#"liege_mountpoint_changes_total{state="dead"}"#, 1.0);
        is("liege_recovery_duration_seconds_count", 1.0);
        is("liege_fuse_aborts_total", 1.0);
        is("liege_start_duration_seconds_count", 2.0);
        served(app.port, "text", LONG);

        emperor.touch("app001.ini");
        is("liege_reload_duration_seconds_count", 1.0);
        is("liege_start_duration_seconds_count", 2.0);

        let prober = || procs::all().into_iter().find(|process| is_helper(process, emperor.pid));
        wait_for("a prober", SHORT, prober).kill(Signal::SIGKILL);
        is("liege_prober_restarts_total", 1.0);

        emperor.write("app001.ini", "[uwsgi]\nuid = nobody-of-this-name\n");
        is(r#"liege_vassal_config_error{vassal="app001.ini"}"#, 1.0);
        is(r#"liege_vassal_up{vassal="app001.ini"}"#, 1.0);
        is("liege_config_errors_total", 1.0);

        emperor.remove("app001.ini");
        wait_until("its series to go with it", LONG, || !listener.text().contains("app001.ini"));
        is(r#"liege_ends_total{cause="vanished"}"#, 1.0);
        is(r#"liege_ends_total{cause="mountpoint_dead"}"#, 1.0);
        is("liege_recovery_duration_seconds_count", 1.0);
    });
}

#[test]
fn a_storm_is_counted_as_one() {
    story(|host| {
        let zip = ZipApp::new(host, "app", "text").zip;
        let emperor = host.emperor().arg("--emperor-metrics").arg(ANY_PORT).start();
        let listener = Listener::of(&emperor);
        let mounts: Vec<_> = (0..6).map(|n| host.open_dir(&format!("mount{n}"))).collect();
        for (n, mount) in mounts.iter().enumerate() {
            let (mount, zip) = (mount.display(), zip.display());
            let text = format!(
                "[vassal]\nexec-as-root = fuse-zip -r {zip} {mount}\ncommand = /bin/sleep 1000\nmountpoint-check = {mount}\nuid = root\n"
            );
            emperor.write(&format!("v{n}.ini"), &text);
        }
        listener.wait_value(r#"liege_mountpoint_changes_total{state="healthy"}"#, LONG, |healthy| healthy == 6.0);
        for vassal in emperor.vassals() {
            vassal.process("fuse-zip").kill(Signal::SIGKILL);
        }
        listener.wait_value("liege_storms_total", LONG, |storms| storms == 1.0);
        listener.wait_value("liege_recovery_duration_seconds_count", LONG, |recovered| recovered == 6.0);
    });
}

#[test]
fn guests_without_room_are_counted() {
    story(|host| {
        let emperor = host.emperor().arg("--emperor-metrics").arg(ANY_PORT).start();
        let port = Listener::of(&emperor).port;
        let crowd: Vec<_> = (0..1000).map(|_| std::net::TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
        // Nobody says anything, so all are put out in the end, most of them at once.
        wait_until("the daemon to answer again", LONG, || get(port, "/healthz").is_ok_and(|(status, _)| status == 200));
        drop(crowd);
        Listener { port }.wait_value("liege_http_refused_total", LONG, |refused| refused >= 900.0);
        assert!(emperor.vassals().is_empty());
    });
}
