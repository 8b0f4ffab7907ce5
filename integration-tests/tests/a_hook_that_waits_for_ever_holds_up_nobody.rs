//! A hook's call that never comes back (a fifo nobody reads, a file system whose daemon has stopped) is ended by `hook-timeout`,
//! with its line named, and a stop meanwhile is immediate: pid 1 itself never waits in it.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use liege_integration_tests::apps::{Reporter, ZipApp};
use liege_integration_tests::{Host, LONG, bar, story, wait_until};
use nix::sys::stat::Mode;

/// Hooks of one vassal that never come back, without their timeout.
fn hooks(host: &Host) -> Vec<(&'static str, String)> {
    let fifo = host.path("nobody-reads");
    nix::unistd::mkfifo(&fifo, Mode::empty()).unwrap();
    std::fs::set_permissions(&fifo, std::fs::Permissions::from_mode(0o666)).unwrap();
    // In a file of its own: a dollar and parentheses would be the dialect's.
    let stop = host.path("stop.sh");
    std::fs::write(&stop, "kill -STOP $(pgrep -x fuse-zip)\n").unwrap();
    let app = ZipApp::new(host, "silent", "never read");
    let silent =
        format!("exec-asap = fuse-zip {} {}\nexec-asap = sh {}\n", app.zip.display(), app.mount.display(), stop.display());
    vec![
        ("write.ini", format!("hook-as-root = write:{} words\n", fifo.display())),
        ("append.ini", format!("uid = www-data\nhook-as-user = append:{} words\n", fifo.display())),
        ("chdir.ini", format!("{silent}hook-as-root = cd:{}/page.txt\n", app.mount.display())),
        ("mkdir.ini", format!("{silent}uid = root\nhook-as-user = mkdir:{}/page.txt\n", app.mount.display())),
        ("mount.ini", format!("{silent}mount-as-root = none {0}/page.txt {0} bind\n", app.mount.display())),
        ("pivot.ini", format!("{silent}pivot_root = {0}/page.txt {0}/page.txt/old\n", app.mount.display())),
    ]
}

#[test]
fn a_hook_that_waits_for_ever_is_ended_by_its_deadline() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let emperor = host.emperor().start();
        let all = hooks(host);
        for (name, lines) in &all {
            emperor.write(name, &reporter.vassal(&format!("{lines}hook-timeout = 1\n")));
        }
        for (name, lines) in &all {
            let line = emperor.wait_cause(0, name, "hook_timeout");
            let at = format!("{name}:{}", 2 + lines.lines().count()); // the last of them, behind the section and the command
            assert!(line.contains(&at), "{at} is to blame: {line}");
        }
        assert!(reporter.starts().is_empty());
    });
}

#[test]
fn a_print_that_nobody_reads_is_no_better() {
    story(|host| {
        let (unread, reporter) = (host.path("unread"), Reporter::new(host, "app"));
        nix::unistd::mkfifo(&unread, Mode::S_IRWXU).unwrap();
        // The daemon's log is its other channel, and is read.
        let script = format!("exec \"$@\" 1<>{}", unread.display());
        let emperor = host.emperor().under(&["sh", "-c", &script, "sh"]).start();
        let flood = "x".repeat(200_000);
        emperor.write(
            "flood.ini",
            &reporter.vassal(&format!("vassal-log = inherit\nhook-timeout = 1\nhook-as-root = print:{flood}\n")),
        );
        let line = emperor.wait_cause(0, "flood.ini", "hook_timeout");
        assert!(line.contains("print xxx") && line.contains("flood.ini:5") && line.len() < 2_000, "{} bytes: {line}", line.len());
        assert!(reporter.starts().is_empty());
    });
}

#[test]
fn a_stop_does_not_wait_for_it() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let emperor = host.emperor().start();
        for (name, lines) in hooks(host) {
            let mark = emperor.mark();
            emperor.write(name, &reporter.vassal(&lines));
            wait_until("the vassal's last child to be the hook", LONG, || {
                emperor.vassals().iter().any(|v| v.processes().iter().any(|p| p.pid != v.init.pid && p.name == "liege-init"))
            });
            let start = Instant::now();
            emperor.remove(name);
            wait_until("the vassal to be gone", LONG, || emperor.vassals().is_empty());
            assert!(start.elapsed() < bar(Duration::from_secs(5)), "{name}: {:?}", start.elapsed());
            emperor.wait_cause(mark, name, "vanished");
        }
        assert!(reporter.starts().is_empty());
    });
}
