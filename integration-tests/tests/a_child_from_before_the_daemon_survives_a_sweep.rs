//! Children the daemon found when it began are somebody else's: no sweep of a vassal's orphans takes them.

use std::fs;

use liege_integration_tests::story;

#[test]
fn a_child_from_before_the_daemon_survives_a_sweep() {
    story(|host| {
        let pid_file = host.path("helper.pid");
        // A helper that ends by itself after the daemon (which has the pid of the shell it replaced): nobody needs to kill it.
        let helper = format!(
            "( while kill -0 $$ 2>/dev/null; do sleep 0.05; done ) & echo $! > {}; exec \"$0\" \"$@\"",
            pid_file.display()
        );
        let emperor = host.emperor().namespaces(None).under(&["sh", "-c", &helper]).start();
        let pid = fs::read_to_string(&pid_file).unwrap().trim().to_owned();
        emperor.write("v.ini", "[vassal]\ncommand = sleep 1000\n");
        emperor.wait_log("v.ini: started");
        emperor.remove("v.ini");
        emperor.wait_log("v.ini: gone"); // swept by now
        let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(!state.is_empty() && !state.contains(") Z "), "the helper was swept away with the vassal's orphans: {state:?}");
    });
}
