//! The facts that mount health and teardown stand on, asked of the kernel this runs on and printed as a table. Where one of them no
//! longer holds, it fails here, with its name, and not as a riddle in a vassal's life.

use std::fs;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kernel::asked::{Asked, PATIENCE};
use kernel::jail::{Jail, waiting};
use kernel::mounted::Mounted;
use liege_integration_tests::wait::{bar, breathe};
use liege_integration_tests::{SHORT, story, wait_until};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use nix::unistd::pivot_root;

mod kernel {
    pub(crate) mod asked;
    pub(crate) mod jail;
    pub(crate) mod mounted;
}

#[test]
fn what_root_and_owner_see() {
    story(|host| {
        println!("{:<12} {:<26} {:<60} waiting", "mount", "statfs by root", "statfs by its owner");
        for (state, blocks) in [("healthy", false), ("killed", false), ("stopped", true), ("queue", true), ("swallow", true)] {
            let mounted = Mounted::new(host, &format!("seen-{state}"));
            mounted.bring_to(state);
            let (root, owner) = (Asked::by_root(&mounted.path), Asked::by_owner(&mounted.path));
            let (root_sees, owner_sees) = (root.answer(), owner.answer());
            println!("{state:<12} {root_sees:<26} {owner_sees:<60} {}", mounted.waiting());
            assert_eq!(root_sees, "success, 0 blocks", "root sees nothing of a user's mount: {state}");
            assert_eq!(owner.blocks(), blocks, "{state}: the owner sees {owner_sees}");
            match state {
                "healthy" => assert_eq!(owner_sees, "success, 1000 blocks"),
                "killed" => assert!(owner_sees.contains("not connected"), "{owner_sees}"),
                _ => assert_eq!(mounted.waiting(), 1, "{state}: a request is under way"),
            }
            if blocks {
                let (other, dies) = (Asked::by_owner(&mounted.path), owner.dies_by_kill());
                println!("{:<39} kill -9 frees it: {dies}; abort frees it after {:.1?}", "", mounted.abort_and_time(&other));
                assert_eq!(dies, state != "swallow", "only who waits for a request that was read is unkillable: {state}");
            }
        }
    });
}

#[test]
fn minors_come_back_at_once_and_an_abort_fd_does_not() {
    story(|host| {
        let first = Mounted::new(host, "first");
        let minor = first.minor();
        let mut abort = fs::File::options().write(true).open(first.connection().join("abort")).expect("abort is there");
        first.order("exit");
        wait_until("the connection to go", SHORT, || !first.connection().exists());
        // The lowest free number is given out next; the rest of this machine takes part.
        let mut heirs = Vec::new();
        wait_until("somebody to get the number again", SHORT, || {
            heirs.push(Mounted::new(host, &format!("heir{}", heirs.len())));
            heirs.last().is_some_and(|heir| heir.minor() == minor)
        });
        println!("minor {minor} was given to the {}. mount after it", heirs.len());
        let second = heirs.last().expect("it got the number");
        let written = abort.write(b"1");
        println!("a write to the old abort: {written:?}");
        assert!(Asked::by_owner(&second.path).answer().contains("1000 blocks"), "the successor was hurt");
    });
}

/// Version and patch level of the running kernel.
fn kernel_release() -> (u32, u32) {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").expect("/proc is mounted");
    let mut numbers = text.split(['.', '-']).map_while(|word| word.trim().parse().ok());
    (numbers.next().expect("a version"), numbers.next().expect("a patch level"))
}

/// Kernels before 6.18 may say nothing; then each open `/dev/fuse` of the vassal counts.
#[test]
fn an_fd_names_its_connection() {
    story(|host| {
        let mounted = Mounted::new(host, "mount");
        let pid = mounted.daemon.pid;
        let named = fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("our own child").flatten().find_map(|entry| {
            let text = fs::read_to_string(entry.path()).ok()?;
            text.lines().find_map(|line| line.strip_prefix("fuse_connection:")?.trim().parse::<u32>().ok())
        });
        println!("fdinfo says fuse_connection {named:?}, the minor is {}", mounted.minor());
        match named {
            Some(named) => assert_eq!(named, mounted.minor(), "a daemon is found by its open /dev/fuse"),
            None => assert!(kernel_release() < (6, 18), "this kernel names the connection in fdinfo"),
        }
    });
}

/// Open descriptors that keep a dead namespace's mounts.
#[test]
fn an_open_mountinfo_keeps_dead_mounts() {
    story(|host| {
        for (held, expected) in [("mountinfo", true), ("ns/mnt", true), ("root", false)] {
            let Jail { mut process, init, connection, .. } = Jail::new(host, &format!("held-{}", held.replace('/', "-")));
            let open = fs::File::open(format!("/proc/{}/{held}", init.pid)).expect("we are root");
            init.kill(Signal::SIGKILL);
            process.wait().expect("our own child");
            let start = Instant::now();
            while connection.exists() && start.elapsed() < bar(PATIENCE) {
                breathe(Duration::from_millis(1));
            }
            let keeps = connection.exists();
            drop(open);
            wait_until("the connection to go with the last fd", SHORT, || !connection.exists());
            println!("an open {held} of a dead vassal keeps its mounts: {keeps}");
            assert_eq!(keeps, expected, "{held}");
        }
    });
}

/// SIGKILL of a namespace's pid 1, and what it does not end.
#[test]
fn an_abort_ends_what_a_kill_cannot() {
    story(|host| {
        for (what, ends) in [("stopped", true), ("swallow", true), ("fd held outside", false), ("selfdeadlock", false)] {
            let mut jail = Jail::new(host, &format!("torn-{}", what.replace(' ', "-")));
            let faultfs = jail.filesystem.faultfs.clone().expect("it is a faultfs");
            let daemon = jail.processes().into_iter().find(|process| process.name == "faultfs").expect("the daemon");
            let mut held = None;
            match what {
                "stopped" => {
                    daemon.kill(Signal::SIGSTOP);
                    wait_until("it to stop", SHORT, || daemon.is_stopped());
                }
                "fd held outside" => {
                    held = Some(faultfs.leak_fd().expect("it obeys"));
                    faultfs.order("swallow").expect("it obeys");
                }
                order => faultfs.order(order).expect("it obeys"),
            }
            let path = jail.filesystem.mount.display().to_string();
            let inside = ["-m", "-p", "-t", &jail.init.pid.to_string(), "stat", "-f", &path].map(str::to_owned);
            let mut asker = Command::new("nsenter").args(inside).stdout(Stdio::null()).spawn().expect("nsenter");
            wait_until("a request under way", SHORT, || waiting(&jail.connection) >= 1);
            if what != "stopped" {
                wait_until("it to be read", SHORT, || faultfs.swallowed().is_ok_and(|count| count >= 1));
            }

            let start = Instant::now();
            jail.init.kill(Signal::SIGKILL);
            while jail.process.try_wait().expect("our own child").is_none() && start.elapsed() < bar(PATIENCE) {
                breathe(Duration::from_micros(100));
            }
            let ended = jail.process.try_wait().expect("our own child").is_some();
            let took = start.elapsed();
            let start = Instant::now();
            if !ended {
                fs::write(jail.connection.join("abort"), "1").expect("it can be aborted while it hangs");
                jail.process.wait().expect("our own child");
            }
            let after = if ended { format!("{took:.1?}") } else { format!("never; {:.1?} after abort", start.elapsed()) };
            println!("{what}, then SIGKILL of pid 1: the namespace is gone after {after}");
            assert_eq!(ended, ends, "{what}");
            drop(held);
            asker.wait().expect("our own child");
        }
    });
}

/// The vassal's own init watches its mount table, and turns the root meanwhile.
#[test]
fn mountinfo_is_polled_across_a_pivot_but_read_anew() {
    story(|host| {
        let root = host.open_dir("root");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let none: Option<&str> = None;
                unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace of this thread");
                mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("private");
                let before = fs::File::open("/proc/thread-self/mountinfo").expect("our own");
                let mut text = [0; 1 << 16];
                mount(Some("none"), &root, Some("tmpfs"), MsFlags::empty(), none).expect("a new root");
                fs::create_dir(root.join("old")).expect("a place for the old one");
                fs::create_dir(root.join("point")).expect("a place to mount on");
                pivot_root(&root, &root.join("old")).expect("pivot_root");
                std::env::set_current_dir("/").expect("the new root");
                umount2("/old", MntFlags::MNT_DETACH).expect("without the old one");
                let news = || {
                    let mut fds = [PollFd::new(before.as_fd(), PollFlags::POLLPRI)];
                    poll(&mut fds, PollTimeout::ZERO).expect("poll");
                    fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLPRI | PollFlags::POLLERR))
                };
                let first = news();
                let quiet = !news();
                mount(Some("none"), "/point", Some("tmpfs"), MsFlags::empty(), none).expect("something new");
                let told = news();
                let length = std::os::unix::fs::FileExt::read_at(&before, &mut text, 0).expect("it can be read");
                let shown = String::from_utf8_lossy(&text[..length]).contains("/point");
                println!("an fd on mountinfo from before pivot_root: polled {told}, shows what is new {shown}");
                assert!(first && quiet && told, "told of the pivot {first}, then quiet {quiet}, then told again {told}");
                assert!(!shown, "it is read as from the old root: open it anew to read");
            });
        });
    });
}
