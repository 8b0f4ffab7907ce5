//! `assailant`: attacks the prober, as the user that runs it. What has that user's ids is limited, slowed down, pinned, looked into,
//! stopped and killed, as far as the kernel lets it. All threads of the prober are hit besides, without an end: one may have these ids for
//! microseconds only. Ends with its standard input; each kind of deed that succeeded is a line, once.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid, getuid};

static ENDS: AtomicBool = AtomicBool::new(false);

fn main() {
    let (me, parent) = (Pid::this().as_raw(), getppid().as_raw());
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        ENDS.store(true, Ordering::Relaxed);
    });
    let mut done = BTreeSet::new();
    while !ENDS.load(Ordering::Relaxed) {
        for pid in numbers("/proc").filter(|&pid| pid != me && pid != parent) {
            let is_prober = fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.ends_with(b"prober\0"));
            for thread in numbers(&format!("/proc/{pid}/task")) {
                if is_prober && has_my_ids(pid, thread) {
                    torment(thread, &mut done);
                }
                if is_prober {
                    hit_unseen(thread, &mut done);
                }
            }
        }
    }
}

fn hit_unseen(thread: i32, done: &mut BTreeSet<&'static str>) {
    let mut first = CpuSet::new();
    let pinned = first.set(0).and_then(|()| sched_setaffinity(Pid::from_raw(thread), &first)).is_ok();
    tell(pinned, "pinned", done);
    tell(kill(Pid::from_raw(thread), Signal::SIGKILL).is_ok(), "killed", done);
}

fn torment(thread: i32, done: &mut BTreeSet<&'static str>) {
    let (pid, id) = (Pid::from_raw(thread), thread.to_string());
    tell(ran("prlimit", &["--pid", &id, "--nofile=3:3"]), "limited", done);
    tell(ran("renice", &["-n", "19", "-p", &id]), "slowed", done);
    tell(ran("taskset", &["-p", "1", &id]), "pinned", done);
    tell(fs::File::open(format!("/proc/{thread}/mem")).is_ok(), "opened its memory", done);
    tell(fs::read_link(format!("/proc/{thread}/exe")).is_ok(), "saw its program", done);
    tell(fs::write(format!("/proc/{thread}/oom_score_adj"), "1000").is_ok(), "offered it to the OOM killer", done);
    tell(kill(pid, Signal::SIGSTOP).is_ok(), "stopped", done);
    tell(kill(pid, Signal::SIGKILL).is_ok(), "killed", done);
}

fn tell(succeeded: bool, deed: &'static str, done: &mut BTreeSet<&'static str>) {
    if succeeded && done.insert(deed) {
        println!("{deed}");
    }
}

fn ran(program: &str, arguments: &[&str]) -> bool {
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.expect("util-linux is installed").success()
}

fn has_my_ids(pid: i32, thread: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/task/{thread}/status")).unwrap_or_default();
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().next()?.parse().ok());
    uid == Some(getuid().as_raw())
}

fn numbers(directory: &str) -> impl Iterator<Item = i32> {
    fs::read_dir(directory).into_iter().flatten().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}
