//! What the kernel makes up when it is read (procfs, sysfs) is not read for a tenant, whose link may lead there: it may block for ever, or
//! tell what only root may know. Nor does a lease hold up the daemon.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::{LONG, story, wait_until};

#[test]
fn a_file_of_the_kernels_own_is_not_read_for_a_tenant() {
    story(|host| {
        let (app, other) = (Reporter::new(host, "app"), Reporter::new(host, "other"));
        let (version, good) = (host.path("VERSION"), host.path("good"));
        fs::write(&good, "one\n").unwrap();
        symlink(&good, &version).unwrap();
        let emperor = host.emperor().start();
        emperor.write("a.ini", &app.vassal(&format!("env = VER=@({})\n", version.display())));
        emperor.write("b.ini", &other.vassal(""));
        assert_eq!(app.started(1)["environment"]["VER"], "one");
        let _ = other.started(1);
        for (target, file_system) in [("/proc/kmsg", "procfs"), ("/sys/kernel/uevent_seqnum", "sysfs")] {
            fs::remove_file(&version).unwrap();
            symlink(target, &version).unwrap();
            let mark = emperor.mark();
            emperor.touch("a.ini");
            emperor.wait_log_from(mark, &["VERSION", file_system]);
        }
        // A setting of the kernel that every user may read is no secret, and reading it does not block.
        fs::remove_file(&version).unwrap();
        symlink("/proc/sys/kernel/ostype", &version).unwrap();
        emperor.ask_well(&["reload", "a"]);
        wait_until("a start with it", LONG, || app.starts().iter().any(|start| start["environment"]["VER"] == "Linux"));
        // The vassal's file itself.
        fs::remove_file(emperor.file("b.ini")).unwrap();
        symlink("/proc/kmsg", emperor.file("b.ini")).unwrap();
        emperor.wait_log_from(0, &["b.ini", "procfs"]);
    });
}

/// A tenant may hold a lease on its own file, and an open of that file then waits for most of a minute.
#[test]
fn a_file_with_a_lease_is_read_when_the_lease_is_gone() {
    story(|host| {
        let app = Reporter::new(host, "app");
        let word = host.path("word");
        fs::write(&word, "one\n").unwrap();
        let emperor = host.emperor().start();
        emperor.write("a.ini", &app.vassal(&format!("env = WORD=@({})\n", word.display())));
        let _ = app.started(1);
        fs::write(&word, "two\n").unwrap();
        let hold = "import fcntl, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
file = open(sys.argv[1], 'r+')
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print('held', flush=True)
sys.stdin.read()";
        let mut holder = Command::new("python3")
            .args(["-c", hold])
            .arg(&word)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3: make deps");
        let mut said = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
        emperor.touch("a.ini");
        emperor.wait_log_from(0, &["a.ini", "for now", "another process holds a lease on it"]);
        assert_eq!(app.starts().len(), 1, "what runs goes on");
        drop(holder.stdin.take());
        holder.wait().unwrap();
        wait_until("a start with what it says", LONG, || {
            app.starts().last().is_some_and(|start| start["environment"]["WORD"] == "two")
        });
    });
}
