//! A vassal without a control group of its own is in the daemon's. Where memory runs out there, that is why it was killed, and not the
//! SIGKILL anybody may have sent.

use std::fs;
use std::path::{Path, PathBuf};

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::story;
use nix::sys::signal::Signal;

/// A group with a bound on its memory, where the daemon finds its own: below the machine's mounts.
struct Group(PathBuf);

impl Group {
    fn new() -> Self {
        let (one, two) = (Path::new("/sys/fs/cgroup/memory"), Path::new("/sys/fs/cgroup"));
        let (tree, limit) = if one.join("cgroup.procs").exists() {
            (one, "memory.limit_in_bytes")
        } else {
            fs::write(two.join("cgroup.subtree_control"), "+memory").expect("root hands the memory controller to its groups");
            (two, "memory.max")
        };
        let group = tree.join(format!("liege-story-memory-{}", std::process::id()));
        fs::create_dir(&group).unwrap();
        fs::write(group.join(limit), "200M").unwrap();
        Self(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        fs::remove_dir(&self.0).ok();
    }
}

#[test]
fn memory_that_runs_out_around_a_vassal_is_named() {
    let group = Group::new();
    story(|host| {
        let join = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", group.0.display());
        let reporter = Reporter::new(host, "app");
        let emperor = host.emperor().under(&["/bin/sh", "-c", &join, "sh"]).start();
        emperor.write("modest.ini", &reporter.vassal("uid = root\n"));
        let _started = reporter.started(1);
        emperor.vassal("reports/app").process("report").kill(Signal::SIGKILL);
        emperor.wait_cause(0, "modest.ini", "signal");

        // tail keeps the last line, which has no end.
        let greedy = "command = /bin/sh -c 'head -c 4800M /dev/zero | exec tail -n 1'\n";
        emperor.write("greedy.ini", &format!("[vassal]\n{greedy}oom-score-adjust = 900\nuid = root\n"));
        let line = emperor.wait_cause(0, "greedy.ini", "oom");
        assert!(line.contains("the daemon's control group") && line.contains("liege-story-memory"), "{line}");
        emperor.remove("greedy.ini");
        emperor.remove("modest.ini");
        emperor.put_to_rest();
    });
}
