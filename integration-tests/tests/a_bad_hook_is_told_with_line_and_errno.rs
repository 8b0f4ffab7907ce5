//! Hooks and mounts that cannot be: each is one sentence with the line that asked for it and the errno, the vassal backs off, and while
//! it waits nothing of it is left. What can be seen without trying is refused before anything starts.

use std::fs;

use liege_integration_tests::apps::{Reporter, USER};
use liege_integration_tests::{LONG, story, wait_until};

/// The line, the cause's word in the closed list, and what the sentence says.
const FAIL: &[(&str, &str, &[&str])] = &[
    (
        "mount-as-root = none <dir>/nowhere <dir>/w bind",
        "hook_failed",
        &["mount none <dir>/nowhere on <dir>/w bind", "ENOENT", "is missing"],
    ),
    ("mount-as-root = none <dir>/w <dir>/file bind", "hook_failed", &["on <dir>/file", "ENOTDIR"]),
    ("mount-as-root = nosuchfs none <dir>/w", "hook_failed", &["mount nosuchfs", "ENODEV", "does not know this type"]),
    ("mount-as-root = tmpfs none <dir>/w nodev size=much", "hook_failed", &["EINVAL", "refuses its data"]),
    ("mount-as-root = none none <dir>/w private", "hook_failed", &["<dir>/w private", "EINVAL", "nothing is mounted there"]),
    ("umount-as-root = <dir>/w", "hook_failed", &["umount <dir>/w", "EINVAL", "nothing is mounted there"]),
    ("umount-as-root = <dir>/w rec,detach", "hook_failed", &["umount <dir>/w rec,detach", "EINVAL"]),
    ("hook-as-root = chdir:<dir>/nowhere", "hook_failed", &["chdir <dir>/nowhere", "ENOENT"]),
    ("hook-as-root = cd:<dir>/file", "hook_failed", &["chdir <dir>/file", "ENOTDIR"]),
    ("hook-as-root = mkdir:<dir>/w", "hook_failed", &["mkdir <dir>/w", "EEXIST", "there already"]),
    ("hook-as-root = write:<dir>/w text", "hook_failed", &["write <dir>/w", "EISDIR"]),
    ("hook-as-root = sticky:<dir>/nowhere", "hook_failed", &["sticky <dir>/nowhere", "ENOENT"]),
    ("hook-as-user = create:/root/mine", "hook_failed", &["create /root/mine", "EACCES"]),
    ("hook-as-user = cd:/root", "hook_failed", &["chdir /root", "EACCES"]),
    ("exec-pre-jail = exit 3", "hook_failed", &["exec exit 3", "status 3"]),
    ("hook-in-jail = !exec:kill -9 $$", "hook_failed", &["a hook (", "SIGKILL"]),
    ("hook-asap = wait_for_file:<dir>/never", "hook_timeout", &["wait for file <dir>/never", "did not end in time"]),
    ("hook-asap = write:<dir>/fifo text", "hook_timeout", &["write <dir>/fifo", "did not end in time"]),
    ("exec-as-user = sleep infinity", "hook_timeout", &["exec sleep infinity", "did not end in time"]),
    ("wait-for-socket = <dir>/nowhere", "hook_timeout", &["wait for socket <dir>/nowhere", "did not end in time"]),
];

/// The line, its column where the mistake is, and what is said of it.
const REFUSED: &[(&str, u32, &str)] = &[
    ("mount-as-root = tmpfs none /w nosiud", 31, "unknown mount flag \"nosiud\""),
    ("umount-as-root = /w detatch", 21, "unknown umount flag \"detatch\""),
    ("hook-as-root = mount:tmpfs none /w detach", 36, "\"detach\" is a flag of umount"),
    ("hook-as-root = exce:ls", 16, "unknown hook verb \"exce\""),
    ("hook-as-root = ls -l", 16, "VERB:ARGUMENT"),
    ("hook-as-root = rpc:hello", 16, "rpc is not supported"),
    ("hook-as-root = unix_signal:1 x", 16, "unix_signal is not supported"),
    ("hook-as-root = spinningfifo:/a b", 16, "spinningfifo is not supported"),
    ("hook-as-root = callint:alarm 3", 24, "C function"),
    ("call-as-root = setup", 16, "C function"),
    ("hook-as-root = chown:/a nobody-of-this-name root", 25, "there is no user"),
    ("mount-as-root = none /a /b bind,private,slave", 28, "exclude each other"),
];

#[test]
fn a_bad_hook_is_told_with_line_and_errno() {
    story(|host| {
        let dir = host.dir().display().to_string();
        fs::write(host.path("file"), "").unwrap();
        let _w = host.open_dir("w");
        nix::unistd::mkfifo(&host.path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let reporter = Reporter::new(host, "app");
        // One more failure than the first is a minute away, so everybody is seen waiting.
        let emperor = host.emperor().arg("--emperor-throttle").arg("60000").start();
        for (n, (line, ..)) in FAIL.iter().enumerate() {
            let more = format!("hook-timeout = 1\nuid = {USER}\ngid = {USER}\n{}\n", line.replace("<dir>", &dir));
            emperor.write(&format!("fail{n}.ini"), &reporter.vassal(&more));
        }
        for (n, (line, cause, words)) in FAIL.iter().enumerate() {
            let name = format!("fail{n}.ini");
            let said = emperor.wait_cause(0, &name, cause);
            assert!(said.contains(&format!("{name}:6: ")), "the line is named: {said}");
            for word in *words {
                assert!(said.contains(&word.replace("<dir>", &dir)), "{line}: {word:?} is not in: {said}");
            }
            assert!(!line.contains('!') || !said.contains("kill -9"), "what is hidden stays so: {said}");
        }
        for n in 0..FAIL.len() {
            emperor.wait_log_from(0, &[&format!("fail{n}.ini: "), "starts again in 60"]);
        }
        wait_until("nothing of them to be left", LONG, || emperor.gauge().descendants.is_empty());
        assert!(!host.mountinfo().contains(&format!("{dir}/w ")), "nothing is mounted: {}", host.mountinfo());
        assert!(reporter.starts().is_empty(), "no app started behind a failed hook");
    });
}

#[test]
fn what_cannot_be_understood_is_refused_before_anything_starts() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let emperor = host.emperor().start();
        for (n, (line, ..)) in REFUSED.iter().enumerate() {
            emperor.write(
                &format!("bad{n}.ini"),
                &reporter.vassal(&format!("exec-asap = touch {}\n{line}\n", host.path("ran").display())),
            );
        }
        for (n, (line, column, words)) in REFUSED.iter().enumerate() {
            let said = emperor.wait_log_from(0, &[&format!("bad{n}.ini:4:{column}"), words]);
            assert!(said.contains("error"), "{line}: {said}");
        }
        wait_until("nothing to have started", LONG, || emperor.vassals().is_empty());
        assert!(!host.path("ran").exists() && reporter.starts().is_empty());
    });
}
