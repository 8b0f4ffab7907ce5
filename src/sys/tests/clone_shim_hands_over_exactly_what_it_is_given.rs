//! The clone shim: fds in their places, nothing else; a clean signal state; failures by stage.
#![allow(missing_docs)]

mod jail;

use std::{
    fs::File,
    io::{Read, Seek, Write},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    os::unix::net::UnixStream,
};

use jail::{Dir, PATIENCE};
use liege_sys::{
    Errno, Strings,
    clone::{Birth, BirthError, BirthStage, Namespaces, spawn},
    pidfd,
    poll::{Interest, poll},
    wait::{self, Ended},
};

const OWN: Namespaces = Namespaces { mount: true, pid: true, ipc: true, uts: true, net: false, cgroup: false };

/// Runs a shell script with these fds and gives what it printed to fd 1, which is added.
fn run(script: &str, namespaces: Namespaces, fds: &[(BorrowedFd<'_>, RawFd)]) -> (String, Ended) {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(PATIENCE)).unwrap();
    let program = File::open("/bin/sh").unwrap();
    let mut all = vec![(theirs.as_fd(), 1)];
    all.extend_from_slice(fds);
    let child = spawn(&Birth {
        namespaces,
        program: program.as_fd(),
        argv: &Strings::new(["sh", "-c", script]).unwrap(),
        env: &Strings::new(["PATH=/usr/bin:/bin"]).unwrap(),
        fds: &all,
    })
    .unwrap();
    drop(theirs);
    let mut text = String::new();
    ours.read_to_string(&mut text).unwrap();
    assert_eq!(poll(&[Interest::readable(child.pidfd.as_fd())], Some(PATIENCE)).unwrap(), [true]);
    (text, wait::reap(child.pid).unwrap())
}

/// A file that holds its own number, under a number of our choice where it is free.
fn file(dir: &Dir, text: &str) -> OwnedFd {
    let mut file = File::options().read(true).write(true).create_new(true).open(dir.path(text)).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.rewind().unwrap();
    file.into()
}

#[test]
fn a_child_has_its_fds_and_no_other() {
    let null = File::open("/dev/null").unwrap();
    let (text, _) =
        run("echo $(ls /proc/self/fd)", Namespaces::default(), &[(null.as_fd(), 2), (null.as_fd(), 0), (null.as_fd(), 7)]);
    // The list has one more, 3: ls reads the directory through it.
    assert_eq!(text, "0 1 2 3 7\n");
}

#[test]
fn sources_and_places_may_overlap_in_any_way() {
    let dir = Dir::new("overlap");
    let files: Vec<_> = ["a", "b", "c"].iter().map(|name| file(&dir, name)).collect();
    let numbers: Vec<_> = files.iter().map(AsRawFd::as_raw_fd).collect();
    // Each goes where the next one is: a cycle, over the low numbers of this process.
    let fds: Vec<_> = (0..3).map(|n| (files[n].as_fd(), numbers[(n + 1) % 3])).collect();
    if numbers.iter().any(|&n| n > 9) {
        return run_in_low_numbers(&files);
    }
    let script = format!("cat <&{}; cat <&{}; cat <&{}", numbers[0], numbers[1], numbers[2]);
    assert_eq!(run(&script, Namespaces::default(), &fds).0, "cab");
}

/// A shell names only one digit; many tests at once may have taken those.
fn run_in_low_numbers(files: &[OwnedFd]) {
    let fds: Vec<_> = files.iter().zip(3..).map(|(file, to)| (file.as_fd(), to)).collect();
    assert_eq!(run("cat <&3; cat <&4; cat <&5", Namespaces::default(), &fds).0, "abc");
}

#[test]
fn a_child_is_pid_one_with_no_signal_blocked_or_pending() {
    let script = "echo $$; while read name value; do case $name in SigBlk:|SigPnd:) echo $value;; esac; done < /proc/self/status";
    let (text, ended) = run(script, Namespaces { mount: false, ..OWN }, &[]);
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("1"));
    assert_eq!(ended, Ended::Code(0));
    assert_eq!(lines.collect::<Vec<_>>(), ["0000000000000000"; 2]);
}

#[test]
fn a_program_that_cannot_run_is_an_error_of_exec_and_leaves_no_zombie() {
    let dir = Dir::new("noexec");
    let text = file(&dir, "text");
    let birth = Birth {
        namespaces: OWN,
        program: text.as_fd(),
        argv: &Strings::new(["x"]).unwrap(),
        env: &Strings::new([""; 0]).unwrap(),
        fds: &[],
    };
    assert_eq!(spawn(&birth).unwrap_err(), BirthError { stage: BirthStage::Exec, errno: Errno::EACCES });
}

#[test]
fn a_pidfd_outlives_its_process() {
    let program = File::open("/bin/true").unwrap();
    let birth = Birth {
        namespaces: OWN,
        program: program.as_fd(),
        argv: &Strings::new(["true"]).unwrap(),
        env: &Strings::new([""; 0]).unwrap(),
        fds: &[],
    };
    let child = spawn(&birth).unwrap();
    assert_eq!(poll(&[Interest::readable(child.pidfd.as_fd())], Some(PATIENCE)).unwrap(), [true]);
    assert!(pidfd::signal(&child.pidfd, 0).is_ok(), "a zombie is still somebody");
    assert_eq!(wait::reap(child.pid), Some(Ended::Code(0)));
    assert_eq!(wait::reap(child.pid), None);
    assert_eq!(pidfd::signal(&child.pidfd, 9), Err(Errno::ESRCH));
}

#[test]
fn many_threads_spawn_at_once_and_nothing_leaks_from_one_to_the_other() {
    std::thread::scope(|s| {
        for _ in 0..8 {
            s.spawn(|| {
                let null = File::open("/dev/null").unwrap();
                for _ in 0..10 {
                    let fds = [(null.as_fd(), 0), (null.as_fd(), 2)];
                    let (text, ended) = run("echo $(ls /proc/self/fd)", Namespaces::default(), &fds);
                    assert_eq!((text.as_str(), ended), ("0 1 2 3\n", Ended::Code(0)));
                }
            });
        }
    });
}
