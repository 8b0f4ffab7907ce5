//! Kernels before 6.8 use the number of a mount again at once, and that of its device too. A mount that was replaced between two looks
//! under both of its numbers, while its daemon lives on, is noticed all the same. The fillers take all lower numbers that are free, so that
//! the real kernel gives the old ones to the next mount.

use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use liege_integration_tests::faults::{Filesystem, Kind, Owner};
use liege_integration_tests::gauge::is_helper;
use liege_integration_tests::wait::holds_for;
use liege_integration_tests::{Emperor, Host, SHORT, procs, story, wait_for, wait_until};
use nix::sys::signal::Signal;

/// Read by the prober: it does not ask for the unique number then.
const CLASSIC: &str = "LIEGE_TEST_CLASSIC_MOUNT_IDS";

const FILL: &str = "\
    read id minor < <(awk -v p=\"$1\" '$5 == p { split($3, d, \":\"); print $1, d[2] }' /proc/self/mountinfo | tail -n 1)
    while mount -t tmpfs filler \"$2\"; do
        read i m < <(awk -v p=\"$2\" '$5 == p { split($3, d, \":\"); print $1, d[2] }' /proc/self/mountinfo | sort -n | tail -n 1)
        test \"$i\" -gt \"$id\" && test \"$m\" -gt \"$minor\" && exit 0
    done
    exit 1";

/// Others on the machine mount and unmount too, and may get or free a number in the wrong moment.
const TRIES: usize = 20;

/// A vassal whose mount these lines make, and what replaces it.
fn noticed(host: &Host, lines: &str, mount: &Path, replace: impl Fn(&procs::Process, usize)) {
    let emperor = host.emperor().never_flapping().env(CLASSIC, "yes").start();
    let check = format!("mountpoint-check = {}\nmountpoint-check-interval = 0.2\n", mount.display());
    emperor.write("v.ini", &format!("[vassal]\nuid = root\n{lines}{check}command = sleep 1001\n"));
    let filler = host.open_dir("filler");
    let mut mark = 0;
    let is_replaced = |attempt| {
        emperor.wait_log_from(mark, &[&format!("{} is healthy", mount.display())]);
        let init = emperor.vassal("sleep 1001").init;
        inside(&init, FILL, &[mount, &filler]);
        let before = numbers(&init, mount);
        holds_for("the mount is the one it was", Duration::from_millis(500), || init.lives());

        let prober = wait_for("a prober", SHORT, || prober(&emperor));
        prober.kill(Signal::SIGSTOP);
        wait_until("it to stop", SHORT, || prober.is_stopped());
        inside(&init, "umount \"$1\"", &[mount]);
        replace(&init, attempt);
        let now = numbers(&init, mount);
        mark = emperor.mark();
        prober.kill(Signal::SIGCONT);
        emperor.wait_cause(mark, "v.ini", "mountpoint_gone");
        println!("{before}became {now}");
        now == before
    };
    assert!((0..TRIES).any(is_replaced), "the kernel gave other numbers each time: this proves nothing");
}

fn prober(emperor: &Rc<Emperor>) -> Option<procs::Process> {
    procs::all().into_iter().find(|process| is_helper(process, emperor.pid))
}

/// A shell in the mount namespace of a process.
fn inside(process: &procs::Process, script: &str, arguments: &[&Path]) {
    let mut shell = Command::new("nsenter");
    shell.args(["-m", "-p", "-t", &process.pid.to_string(), "--", "bash", "-c", script, "bash"]).args(arguments);
    let status = shell.status().expect("nsenter is installed: make deps");
    assert!(status.success(), "{script}: {status}");
}

/// Its id and its device, as the kernel tells them.
fn numbers(process: &procs::Process, mount: &Path) -> String {
    let table = std::fs::read_to_string(format!("/proc/{}/mountinfo", process.pid)).expect("it lives");
    let point = mount.to_string_lossy();
    let line = table.lines().rev().find(|line| line.split(' ').nth(4) == Some(&point)).expect("it is mounted");
    line.split(' ').enumerate().filter(|(n, _)| matches!(n, 0 | 2)).map(|(_, word)| format!("{word} ")).collect()
}

#[test]
fn a_tmpfs_under_the_numbers_of_another_one() {
    story(|host| {
        let mount = host.open_dir("mount");
        let lines = format!("hook-as-root = mount:tmpfs none {}\n", mount.display());
        noticed(host, &lines, &mount, |init, _| inside(init, "mount -t tmpfs none \"$1\"", &[&mount]));
    });
}

#[test]
fn a_fuse_mount_under_the_numbers_of_another_one_whose_daemon_lives() {
    story(|host| {
        let first = Filesystem::new(host, "first", Kind::Faultfs, Owner::Root);
        noticed(host, &first.lines_with("stay"), &first.mount, |init, attempt| {
            let mut second = Filesystem::new(host, &format!("second{attempt}"), Kind::Faultfs, Owner::Root);
            second.move_to(first.mount.clone());
            second.mount_beside(init);
        });
    });
}
