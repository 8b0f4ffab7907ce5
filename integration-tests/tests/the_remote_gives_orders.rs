//! `liege start`, `stop`, `restart`, `clear` and `rescan`: what becomes of real vassals, and what is answered.

use liege_integration_tests::apps::USER;
use liege_integration_tests::http::free_port;
use liege_integration_tests::{Emperor, SHORT, story, wait_until};

const SLEEPER: &str = "[vassal]\ncommand = /bin/sleep 100000\nuid = root\n";

/// The phase of a vassal, as the daemon says.
fn phase(emperor: &Emperor, name: &str) -> String {
    let (_, said) = emperor.ask(&["status", "--json", name]);
    let detail: serde_json::Value = serde_json::from_str(&said).unwrap_or_default();
    detail["vassal"]["phase"].as_str().unwrap_or_default().to_owned()
}

#[track_caller]
fn wait_phase(emperor: &Emperor, name: &str, wanted: &str) {
    wait_until(&format!("{name} to be {wanted}"), SHORT, || phase(emperor, name) == wanted);
}

#[test]
fn a_stopped_vassal_stays_down_until_it_is_started() {
    story(|host| {
        let emperor = host.emperor().start();
        emperor.write("app.ini", SLEEPER);
        let first = emperor.vassal("sleep");
        wait_phase(&emperor, "app", "running");

        let (status, said) = emperor.ask(&["stop", "app"]);
        assert!(status == 0 && said == "app.ini: asked to stop\n", "{said}");
        wait_phase(&emperor, "app", "suspended");
        assert!(emperor.vassals().is_empty());
        let mark = emperor.mark();
        emperor.write("app.ini", "[vassal]\ncommand = /bin/sleep 200000\nuid = root\n");
        let (status, said) = emperor.ask(&["rescan"]);
        assert!(status == 0 && said == "done\n", "{said}");
        // A vassal that comes after it has been seen: so has the change.
        emperor.write("other.ini", SLEEPER);
        emperor.wait_log_from(mark, &["other.ini", "started"]);
        assert_eq!(phase(&emperor, "app"), "suspended");
        assert_eq!(emperor.ask(&["stop", "app"]).1, "app.ini: nothing to do: it is stopped\n");
        let (status, said) = emperor.ask(&["reload", "app"]);
        assert!(status == 1 && said.contains("app.ini: refused: it is stopped"), "{said}");
        assert!(emperor.ask(&["status"]).1.contains("stopped"));

        let (status, said) = emperor.ask(&["start", "app"]);
        assert!(status == 0 && said == "app.ini: done\n", "{said}");
        let second = emperor.vassal("sleep 200000");
        assert_ne!(second.init.pid, first.init.pid);
        wait_phase(&emperor, "app", "running");
        assert_eq!(emperor.ask(&["start", "app"]).1, "app.ini: nothing to do: it runs\n");

        emperor.ask(&["stop", "--all"]);
        wait_phase(&emperor, "app", "suspended");
        emperor.remove("app.ini");
        wait_until("it to be forgotten", SHORT, || emperor.ask(&["status", "app"]).0 == 4);
    });
}

/// An end may last as long as its file allows: who asks for it does not take it for over, and may wait.
#[test]
fn a_stop_is_over_when_it_was_waited_for() {
    story(|host| {
        let emperor = host.emperor().start();
        let slow = host.path("slow");
        let text = "trap 'sleep 1.5; exit 0' TERM\necho up\nwhile :; do sleep infinity & wait $!; done\n";
        std::fs::write(&slow, text).unwrap();
        let slow = format!("[vassal]\ncommand = /bin/sh {}\nuid = root\nstop-timeout = 30\n", slow.display());
        emperor.write("slow.ini", &slow);
        emperor.write("app.ini", SLEEPER);
        emperor.wait_said("slow.ini", "up");
        wait_phase(&emperor, "app", "running");

        let (status, said) = emperor.ask(&["stop", "slow", "app", "nobody", "--wait"]);
        assert!(status == 4 && said.contains("no vassal is called nobody"), "{said}");
        for name in ["slow", "app"] {
            assert_eq!(phase(&emperor, name), "suspended");
            assert!(said.contains(&format!("{name}.ini: stopped after ")), "{said}");
        }
        assert!(!said.contains("slow.ini: stopped after 0"), "{said}");
        let (status, said) = emperor.ask(&["stop", "slow", "--wait"]);
        assert!(status == 0 && said == "slow.ini: nothing to do: it is stopped\n", "{said}");

        emperor.ask_well(&["start", "slow"]);
        wait_phase(&emperor, "slow", "running");
        let ups = || emperor.said("slow.ini").iter().filter(|line| line.ends_with("app: up")).count();
        wait_until("it to be up again", SHORT, || ups() == 2);
        assert_eq!(emperor.ask_well(&["stop", "slow"]), "slow.ini: asked to stop\n");
        assert_eq!(phase(&emperor, "slow"), "stopping");
        // Who asks again waits as well.
        let said = emperor.ask_well(&["stop", "--all", "--wait"]);
        assert!(said.contains("slow.ini: stopped after "), "{said}");
    });
}

/// Who asks for what the file says is not told "done" where the file cannot be used.
#[test]
fn an_order_that_finds_a_bad_file_is_refused_with_its_mistake() {
    story(|host| {
        let emperor = host.emperor().start();
        let file = |group: &str| format!("[vassal]\ncommand = /bin/sleep 100000\nuid = root\ngid = {group}\n");
        emperor.write("app.ini", &file("root"));
        let first = emperor.vassal("sleep").init.pid;
        wait_phase(&emperor, "app", "running");
        emperor.write("app.ini", &file("nope"));
        let mistake = "app.ini:4:7: there is no group \"nope\"";
        for order in
            [&["reload", "app"][..], &["reload", "--all"], &["restart", "app"], &["restart", "app", "--wait"], &["start", "app"]]
        {
            let mark = emperor.mark();
            let (status, said) = emperor.ask(order);
            let told = ["refused", "its file cannot be used: ", mistake, "; it runs on with the file of before"];
            assert!(status == 1 && told.iter().all(|part| said.contains(part)), "{order:?}: {status} {said}");
            emperor.wait_log_from(mark, &[&format!("{}: refused: its file cannot be used: ", order[0])]);
        }
        assert_eq!(emperor.vassal("sleep").init.pid, first);
        emperor.write("app.ini", &file("root"));
        emperor.ask_well(&["reload", "app"]);

        emperor.ask_well(&["stop", "app", "--wait"]);
        emperor.write("app.ini", &file("nope"));
        let (status, said) = emperor.ask(&["start", "app"]);
        assert!(status == 1 && said.contains(mistake) && said.contains("; it stays down"), "{said}");
        assert_eq!(phase(&emperor, "app"), "suspended");
        emperor.write("app.ini", &file("root"));
        emperor.ask_well(&["start", "app"]);
    });
}

#[test]
fn a_restart_is_a_new_life_and_its_end_is_in_the_records() {
    story(|host| {
        let emperor = host.emperor().start();
        emperor.write("app.ini", SLEEPER);
        let first = emperor.vassal("sleep").init.pid;
        wait_phase(&emperor, "app", "running");
        let (status, said) = emperor.ask(&["restart", "app", "--wait"]);
        assert!(status == 0 && said.starts_with("app.ini: up again after "), "{said}");
        assert_ne!(emperor.vassal("sleep").init.pid, first);
        let (status, said) = emperor.ask(&["status", "app"]);
        assert_eq!(status, 0, "{said}");
        for part in ["app.ini: running, ready", "its init), 2 processes", "memory", "restarts  1: requested 1"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        // The records are written beside the loop: the last end is there in a moment.
        wait_until("the end to be in the records", SHORT, || {
            let said = emperor.ask(&["status", "app"]).1;
            said.contains("ago: requested, having lived") && said.contains("it was asked to")
        });
    });
}

#[test]
fn a_rolling_restart_goes_through_all_and_ends_at_the_first_failure() {
    story(|host| {
        let emperor = host.emperor().start();
        let names: Vec<String> = (0..6).map(|n| format!("app{n}.ini")).collect();
        names.iter().for_each(|name| emperor.write(name, SLEEPER));
        names.iter().for_each(|name| wait_phase(&emperor, name, "running"));
        emperor.ask(&["stop", "app5"]);
        wait_phase(&emperor, "app5", "suspended");
        let before: Vec<i32> = emperor.vassals().iter().map(|vassal| vassal.init.pid).collect();

        let (status, said) = emperor.ask(&["restart", "--all", "--wait", "--parallel", "2"]);
        assert_eq!((status, said.matches("up again after").count()), (0, 5), "{said}");
        assert!(emperor.vassals().iter().all(|vassal| !before.contains(&vassal.init.pid)));
        assert_eq!(phase(&emperor, "app5"), "suspended", "who was stopped is not meant");

        // One whose program goes away while it runs: the restart finds out.
        let program = host.path("sleep");
        std::fs::copy("/bin/sleep", &program).expect("copy into our own directory");
        emperor.write("app1.ini", &format!("[vassal]\ncommand = {} 1000\nuid = root\n", program.display()));
        let _lives = emperor.vassal(&program.display().to_string());
        wait_phase(&emperor, "app1", "running");
        std::fs::remove_file(&program).expect("it is there");
        let (status, said) = emperor.ask(&["restart", "--all", "--wait"]);
        assert!(
            status == 1
                && said.contains("liege: app1.ini: no ")
                && said.contains("app1.ini:2: command)")
                && said.contains("3 were not restarted"),
            "{said}"
        );
        let (status, said) = emperor.ask(&["restart", "--all", "--wait", "--keep-going"]);
        assert_eq!((status, said.matches("up again after").count()), (1, 4), "{said}");
    });
}

#[test]
fn an_app_that_is_doubted_after_its_restart_has_failed() {
    story(|host| {
        let emperor = host.emperor().start();
        let (app, names) = (host.path("app.py"), ["a.ini", "b.ini", "c.ini"]);
        let good = "def application(e, s):\n    s('200 OK', [])\n    return [b'good']\n";
        let program = |text: &str| std::fs::write(&app, text).expect("write into our own directory");
        program(good);
        for name in names {
            let (port, app) = (free_port(), app.display());
            let more = if name == "b.ini" { "lazy-apps = true\n" } else { "" };
            let file = format!("master = true\nplugin = python3\nhttp-socket = 127.0.0.1:{port}\nwsgi-file = {app}\n{more}");
            emperor.write(name, &format!("[uwsgi]\nuid = {USER}\ngid = {USER}\n{file}"));
        }
        names.iter().for_each(|name| drop(emperor.wait_log_from(0, &[name, "ready after"])));
        program("import nothere\n");
        let (status, said) = emperor.ask(&["restart", "--all", "--wait"]);
        assert!(
            status == 1
                && said.contains("liege: a.ini: up again, but doubtful: it may serve nothing")
                && said.contains("nothere"),
            "{said}"
        );
        assert!(said.contains("2 were not restarted"), "{said}");
        let (status, said) = emperor.ask(&["restart", "b", "--wait"]);
        assert!(status == 1 && said.contains("b.ini: up again, but doubtful: it may serve nothing"), "{said}");
        program(good);
        let said = emperor.ask_well(&["restart", "--all", "--wait"]);
        assert_eq!(said.matches("up again after").count(), 3, "{said}");
    });
}

#[test]
fn names_are_short_and_mistakes_in_them_are_told_apart() {
    story(|host| {
        let emperor = host.emperor().start();
        emperor.write("app.ini", SLEEPER);
        let _lives = emperor.vassal("sleep");
        let (status, said) = emperor.ask(&["clear", "app", "nobody"]);
        assert!(status == 4 && said.contains("app.ini: nothing to do") && said.contains("no vassal is called nobody"), "{said}");
        assert_eq!(emperor.ask(&["clear"]).0, 0);
        assert_eq!(emperor.ask(&["start"]).0, 2, "nobody is named");
        assert_eq!(emperor.ask(&["stop", "--all", "app"]).0, 2, "all or some");
        assert_eq!(emperor.ask(&["restart", "--all", "--parallel", "2"]).0, 2, "only with --wait");
    });
}
