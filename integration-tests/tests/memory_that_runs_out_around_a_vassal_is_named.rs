//! A vassal without a control group of its own is in the daemon's. Where memory runs out there, that is why it was killed, and not the
//! SIGKILL anybody may have sent.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::story::Host;
use liege_integration_tests::{Emperor, story, tools};
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

/// The daemon is in the group.
fn emperor(host: &Host, group: &Group) -> Rc<Emperor> {
    let join = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", group.0.display());
    host.emperor().under(&["/bin/sh", "-c", &join, "sh"]).start()
}

#[test]
fn memory_that_runs_out_around_a_vassal_is_named() {
    let group = Group::new();
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let emperor = emperor(host, &group);
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

/// fuse-zip keeps in memory what it has not written back.
#[test]
fn memory_that_runs_out_for_the_daemon_of_a_mount_is_named() {
    tools::need("fuse-zip");
    let group = Group::new();
    story(|host| {
        let (dir, emperor) = (host.open_dir("greedy"), emperor(host, &group));
        let (zip, mount) = (dir.join("greedy.zip"), dir.join("mount"));
        fs::create_dir(&mount).expect("mkdir in our own directory");
        fs::write(dir.join("hello"), "hello").expect("write in our own directory");
        let made = Command::new("zip").arg("-q").arg(&zip).arg("hello").current_dir(&dir).status();
        assert!(made.expect("zip is installed: make deps").success());
        // The first program is the one that is taken, as the largest.
        let write = format!("dd if=/dev/zero of={}/big bs=1M count=600 2>/dev/null; exec sleep 100000", mount.display());
        emperor.write(
            "greedy.ini",
            &format!(
                "[vassal]\nuid = root\nhook-pre-jail = exec:fuse-zip {} {mount}\ncommand = /bin/sh -c '{write}'\n\
                 mountpoint-check = {mount}\nmountpoint-check-interval = 1\nstop-timeout = 1\n",
                zip.display(),
                mount = mount.display()
            ),
        );
        let line = emperor.wait_cause(0, "greedy.ini", "oom");
        assert!(line.contains("the daemon's control group") && line.contains("fuse-zip"), "{line}");
        emperor.remove("greedy.ini");
        emperor.put_to_rest();
    });
}
