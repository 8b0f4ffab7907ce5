//! A reload runs its hooks while the old app still serves. One that fails, or an app that takes its time to leave after them, costs
//! nobody the instance; and a hook that only a reload has may do what a hook of the first start may.

use std::fs;

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::scrape::{ANY_PORT, Listener};
use liege_integration_tests::{LONG, SHORT, story, wait_until};

#[test]
fn a_hook_that_fails_leaves_the_app_as_it_was() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let hook = "uid = www-data\ngid = www-data\nif-reload =\nhook-asap = exec:test -e /nothing/there\nendif =\n";
        let emperor = host.emperor().arg("--emperor-metrics").arg(ANY_PORT).start();
        emperor.write("v.ini", &reporter.vassal(hook));
        let _first = reporter.started(1);
        emperor.wait_log("v.ini: started");
        let before = emperor.vassal("reports/app");
        let mark = emperor.mark();
        emperor.write("v.ini", &reporter.vassal(&format!("{hook}env = ROUND=two\n")));
        let line = emperor.wait_log_from(mark, &["v.ini", "exited with status 1"]);
        assert!(line.contains("v.ini:6: hook-asap"), "{line}");
        emperor.wait_log_from(mark, &["v.ini", "the reload was given up, the app goes on as it was"]);
        let said = emperor.ask_well(&["status", "v"]);
        assert!(said.contains("v.ini: running") && said.contains("  reload    given up: "), "{said}");
        let said = emperor.ask_well(&["status"]);
        assert!(said.contains("reload given up: ") && !said.contains("bad file"), "{said}");
        Listener::of(&emperor).wait_value(r#"liege_vassal_config_error{vassal="v.ini"}"#, SHORT, |bad| bad == 0.0);
        let after = emperor.vassal("reports/app");
        assert_eq!((after.init.clone(), after.processes()), (before.init.clone(), before.processes()), "nothing was touched");
        // Mended, it is a reload like any other.
        emperor.write("v.ini", &reporter.vassal("uid = www-data\ngid = www-data\nenv = ROUND=three\n"));
        assert_eq!(reporter.started(2)["environment"]["ROUND"], "three");
    });
}

#[test]
fn an_app_that_leaves_slowly_is_not_the_hooks_fault() {
    story(|host| {
        let script = host.open_dir("bin").join("slow");
        let text = "trap 'sleep 3; exit 0' TERM\nwhile :; do sleep infinity & wait $!; done\n";
        fs::write(&script, text).expect("write in our own directory");
        let file = |round: &str| {
            format!(
                "[vassal]\ncommand = /bin/bash {}\nhook-timeout = 1\nstop-timeout = 20\nhook-asap = exec:true\nenv = ROUND={round}\nuid = root\n",
                script.display()
            )
        };
        let emperor = host.emperor().start();
        emperor.write("v.ini", &file("one"));
        emperor.wait_log("v.ini: started");
        let before = emperor.vassal("bin/slow");
        let mark = emperor.mark();
        emperor.write("v.ini", &file("two"));
        let line = emperor.wait_log_from(mark, &["v.ini", "after"]);
        assert!(line.contains("reloaded"), "{line}");
        assert_eq!(emperor.vassal("bin/slow").init, before.init, "the same instance");
    });
}

#[test]
fn a_hook_that_only_a_reload_has_may_mount() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let mount = host.path("mount");
        fs::create_dir_all(&mount).expect("mkdir in our own directory");
        let hook = format!("if-reload =\nhook-asap = mount:tmpfs none {}\nendif =\n", mount.display());
        let emperor = host.emperor().start();
        emperor.write("v.ini", &reporter.vassal(&hook));
        let _first = reporter.started(1);
        emperor.wait_log("v.ini: started");
        let before = emperor.vassal("reports/app").init;
        emperor.touch("v.ini");
        let _second = reporter.started(2);
        let after = emperor.vassal("reports/app");
        assert_eq!(after.init, before, "replaced in place");
        wait_until("the mount of the reload", LONG, || after.mount(&mount).is_some());
    });
}
