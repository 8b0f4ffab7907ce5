//! A vassal with a limit on its memory that uses more: the kernel's OOM killer takes its app, and that is the cause in the log and on
//! record, not the SIGKILL anybody may have sent.

use std::fs;
use std::path::{Path, PathBuf};

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::cgroups::mounted;
use liege_integration_tests::{LONG, SHORT, story, wait_for};
use nix::sys::signal::Signal;

/// A hierarchy with the memory controller, mounted in the story's own namespace, and the name of its limit.
fn memory(at: &Path) -> (PathBuf, &'static str) {
    if mounted(at, "cgroup", Some("memory")).is_ok() {
        return (at.to_owned(), "memory.limit_in_bytes");
    }
    mounted(at, "cgroup2", None).expect("a kernel with control groups");
    let controllers = fs::read_to_string(at.join("cgroup.controllers")).unwrap();
    assert!(controllers.contains("memory"), "this machine has the memory controller in no hierarchy: {controllers:?}");
    fs::write(at.join("cgroup.subtree_control"), "+memory").expect("the memory controller for groups of version 2");
    (at.to_owned(), "memory.max")
}

#[test]
fn the_oom_killer_is_named() {
    story(|host| {
        let (tree, limit) = memory(&host.path("memory"));
        let group = tree.join(format!("story-{}", std::process::id()));
        let record = host.path("state/deaths/greedy.ini.json");
        let emperor = host.emperor().start();
        let lines = format!("cgroup = {}\ncgroup-opt = {limit}=48M\n", group.display());
        // tail keeps the last line, which has no end.
        let greedy = "command = /bin/sh -c 'head -c 4800M /dev/zero | exec tail -n 1'\n";
        emperor.write("greedy.ini", &format!("[vassal]\n{greedy}{lines}uid = root\n"));
        let line = emperor.wait_cause(0, "greedy.ini", "oom");
        assert!(line.contains("OOM killer"), "{line}");
        emperor.wait_log("the kernel's OOM killer took 1 of its processes");
        let recorded = wait_for("the record", SHORT, || fs::read_to_string(&record).ok());
        assert!(recorded.contains("\"cause\": \"oom\""), "{recorded}");
        emperor.remove("greedy.ini");

        // A SIGKILL of somebody else's, under the same limit.
        let (reporter, mark) = (Reporter::new(host, "app"), emperor.mark());
        wait_for("the group to go", LONG, || (!group.exists()).then_some(()));
        emperor.write("modest.ini", &reporter.vassal(&lines));
        let _started = reporter.started(1);
        emperor.vassal("reports/app").process("report").kill(Signal::SIGKILL);
        emperor.wait_cause(mark, "modest.ini", "signal");
        emperor.remove("modest.ini");
        wait_for("the groups to go", LONG, || (!group.exists()).then_some(()));
        emperor.put_to_rest();
        nix::mount::umount(&tree).unwrap();
    });
}
