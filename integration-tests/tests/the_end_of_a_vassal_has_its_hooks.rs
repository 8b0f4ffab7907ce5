//! `as-user-atexit` runs at the end of a vassal, whichever end it is: as its user, in its root and its mounts, each hook with a time of
//! its own. A reload is no end: what a hook would unmount there stays mounted.

use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use liege_integration_tests::apps::{Reporter, USER, ZipApp, user};
use liege_integration_tests::{Emperor, Host, LONG, bar, served, story, wait_for, wait_until};
use nix::sys::signal::Signal;

/// The hooks of the end: some fail, the others write down who they are and what they see.
const HOOKS: &str = "\
hook-as-user-atexit = exec:false
hook-as-user-atexit = exec:sh <script> <out>
hook-as-user-atexit = append:<out> verb,
exec-as-user-atexit = exit 3
exec-as-user-atexit = (printf ' exec '; cat /mnt/mine/word; echo) >> <out>
";

/// Mounts that only the vassal sees.
const MOUNTS: &str = "\
hook-as-root = mount:tmpfs none /mnt
hook-as-root = mkdir:/mnt/mine
hook-as-root = mount:tmpfs none /mnt/mine
hook-as-root = write:/mnt/mine/word mine
";

struct End<'h> {
    host: &'h Host,
    emperor: Rc<Emperor>,
    reporter: Reporter,
    out: std::path::PathBuf,
}

impl<'h> End<'h> {
    fn new(host: &'h Host, name: &str, more: &str) -> Self {
        let reporter = Reporter::new(host, name);
        let out = host.open_dir("out").join(name);
        let emperor = host.emperor().start();
        // A dollar and a parenthesis would be the dialect's.
        let script = host.path("hooks.sh");
        std::fs::write(&script, "echo hook $(id -u) $(stat -c %m /mnt/mine) >> \"$1\"\n").unwrap();
        let hooks = HOOKS.replace("<script>", &script.display().to_string()).replace("<out>", &out.display().to_string());
        let text = reporter.vassal(&format!("uid = {USER}\ngid = {USER}\n{MOUNTS}{hooks}{more}"));
        emperor.write("end.ini", &text);
        let _started = reporter.started(1);
        emperor.wait_log("end.ini: started"); // where no app has run yet no hook of the end runs
        Self { host, emperor, reporter, out }
    }

    /// What was written down.
    fn told(&self) -> String {
        std::fs::read_to_string(&self.out).unwrap_or_default()
    }

    fn ran(&self, times: usize) {
        let once = format!("hook {} /mnt/mine\nverb, exec mine\n", user().0);
        wait_for(&format!("{times} times the hooks of the end"), LONG, || (self.told() == once.repeat(times)).then_some(()));
    }
}

#[test]
fn a_removed_file_is_an_end() {
    story(|host| {
        let end = End::new(host, "removed", "");
        end.emperor.remove("end.ini");
        end.ran(1);
        let said = end.emperor.wait_log("exec exit 3 (");
        assert!(said.contains("end.ini:12: exec-as-user-atexit") && said.contains("status 3"), "{said}");
        assert!(!Path::new("/mnt/mine").exists(), "its mounts were its own");
    });
}

#[test]
fn an_app_that_dies_is_an_end_and_so_is_a_rebuild() {
    story(|host| {
        let end = End::new(host, "dies", "");
        end.emperor.vassal("reports/dies").process("report").kill(Signal::SIGKILL);
        end.ran(1);
        let _again = end.reporter.started(2);
        let text = std::fs::read_to_string(end.emperor.file("end.ini")).unwrap();
        end.emperor.write("end.ini", &format!("{text}exec-as-root = true\n"));
        end.ran(2);
        let _rebuilt = end.reporter.started(3);
    });
}

#[test]
fn a_shutdown_is_an_end() {
    story(|host| {
        let end = End::new(host, "shutdown", "");
        end.emperor.signal(Signal::SIGTERM);
        assert!(end.emperor.wait_exit(LONG).success());
        end.ran(1);
        assert_eq!(end.host.mountinfo().matches("/mnt/mine").count(), 0);
    });
}

#[test]
fn a_reload_is_none() {
    story(|host| {
        let app = ZipApp::new(host, "app", "from the zip");
        let emperor = host.emperor().start();
        let unmount = format!("exec-as-user-atexit = fusermount -u {}\n", app.mount.display());
        let text = format!("{}{unmount}", app.checked());
        emperor.write("app001.ini", &text);
        served(app.port, "from the zip", LONG);
        let before = emperor.vassal("app001.ini").mount(&app.mount).expect("mounted");
        let mark = emperor.mark();
        emperor.write("app001.ini", &text.replace("[uwsgi]", "[uwsgi]\nenv = CHANGED=yes"));
        emperor.wait_log_from(mark, &["app001.ini", "reloaded"]);
        served(app.port, "from the zip", LONG);
        assert_eq!(emperor.vassal("app001.ini").mount(&app.mount), Some(before), "the same mount");
        emperor.remove("app001.ini");
        wait_until("it to be gone", LONG, || emperor.vassals().is_empty());
        assert!(
            !emperor.log()[mark..].iter().any(|line| line.contains("exited with status")),
            "it was still there to be unmounted"
        );
    });
}

#[test]
fn a_hook_of_the_end_that_hangs_is_named_and_ended() {
    story(|host| {
        let end = End::new(host, "hangs", "stop-timeout = 2\nexec-as-user-atexit = sleep infinity\n");
        let start = Instant::now();
        end.emperor.remove("end.ini");
        let said = end.emperor.wait_log("exec sleep infinity (");
        assert!(said.contains("end.ini:15: exec-as-user-atexit") && said.contains("SIGKILL"), "{said}");
        wait_until("it to be gone", LONG, || end.emperor.vassals().is_empty());
        assert!((Duration::from_secs(1)..bar(Duration::from_secs(5))).contains(&start.elapsed()), "{:?}", start.elapsed());
        end.ran(1);
    });
}
