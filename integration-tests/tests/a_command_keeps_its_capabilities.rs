//! `cap`: a command keeps these capabilities through its drop and into what it executes; as root it has these and no others.

use liege_integration_tests::apps::{Reporter, USER};
use liege_integration_tests::story;

/// net_bind_service and kill.
const TWO: &str = "0000000000000420";
const NONE: &str = "0000000000000000";

#[test]
fn a_user_has_what_was_asked_for() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let emperor = host.emperor().start();
        let lines = format!("uid = {USER}\ngid = {USER}\ncap = net_bind_service,kill\n");
        // Through a shell: what it executes has them too.
        let command = format!("[vassal]\ncommand = /bin/sh -c 'exec {}'\n", reporter.command());
        emperor.write("v.ini", &format!("{command}{lines}"));
        let status = &reporter.started(1)["status"];
        for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
            assert_eq!(status[set], TWO, "{set} {status}");
        }
        assert_eq!(reporter.started(1)["status"]["Uid"].as_str().map(|ids| ids.starts_with('0')), Some(false));

        let mark = emperor.mark();
        emperor.write("v.ini", &format!("{command}{}", lines.replace(",kill", "")));
        emperor.wait_log_from(mark, &["the capabilities changed at", "v.ini:5"]);
        assert_eq!(reporter.started(2)["status"]["CapEff"], "0000000000000400");
    });
}

#[test]
fn without_the_line_a_user_has_none() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let emperor = host.emperor().start();
        emperor.write("v.ini", &reporter.vassal(&format!("uid = {USER}\ngid = {USER}\n")));
        assert_eq!(reporter.started(1)["status"]["CapPrm"], NONE);
    });
}

#[test]
fn root_has_these_and_no_others() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let emperor = host.emperor().start();
        emperor.write("v.ini", &reporter.vassal("cap = net_bind_service,kill\n"));
        let status = &reporter.started(1)["status"];
        assert_eq!((&status["CapEff"], &status["CapPrm"]), (&TWO.into(), &TWO.into()), "{status}");
    });
}

#[test]
fn what_the_emperor_keeps_from_vassals_is_refused_with_both_names() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let emperor = host.emperor().arg("--emperor-cap").arg("sys_admin,setuid,setgid,kill").start();
        emperor.write("v.ini", &reporter.vassal(&format!("uid = {USER}\ngid = {USER}\ncap = kill,net_raw\n")));
        let line = emperor.wait_cause(0, "v.ini", "hook_failed");
        assert!(
            line.contains("net_raw") && !line.contains("kill,") && line.contains("v.ini:5") && line.contains("emperor-cap"),
            "{line}"
        );
        emperor.write("v.ini", &reporter.vassal(&format!("uid = {USER}\ngid = {USER}\ncap = kill\n")));
        assert_eq!(reporter.started(1)["status"]["CapEff"], "0000000000000020");
    });
}
