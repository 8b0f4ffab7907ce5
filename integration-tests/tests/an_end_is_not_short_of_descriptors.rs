//! A daemon may be started with few descriptors. Init has as many as it needs all the same, or, where it may not (`CAP_SYS_RESOURCE`), keeps
//! some for the end and saves in rounds. What it could not look for in spite of that is told.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use liege_integration_tests::tools::need;
use liege_integration_tests::wait::slowness;
use liege_integration_tests::{Emperor, Host, LONG, story, wait_until};

const LIMIT: &str = "--nofile=64:64";

/// Archives, each mounted by a hook, and written to by the command.
struct Many {
    zips: Vec<PathBuf>,
    hooks: String,
    command: String,
    written: PathBuf,
}

impl Many {
    fn new(host: &Host, count: usize) -> Self {
        need("unzip");
        let small = host.path("small.txt");
        fs::write(&small, "small\n").expect("a file of our own");
        let (mut zips, mut hooks) = (Vec::new(), String::new());
        let (zip, mounts) = (host.open_dir("zips"), host.open_dir("mounts"));
        for number in 0..count {
            let (zip, mount) = (zip.join(format!("{number}.zip")), mounts.join(number.to_string()));
            fs::create_dir(&mount).expect("mkdir in our own directory");
            assert!(Command::new("zip").arg("-qj").arg(&zip).arg(&small).status().expect("zip: make deps").success());
            hooks += &format!("exec-as-user = fuse-zip {} {}\n", zip.display(), mount.display());
            zips.push(zip);
        }
        let written = host.path("written");
        let write = format!("for d in {}/*; do echo precious > $d/f; done; echo x > {}", mounts.display(), written.display());
        let command = format!("command = sh -c '{write}; exec sleep 1001'\n");
        Self { zips, hooks, command, written }
    }

    fn write(&self, emperor: &Emperor, more: &str) {
        emperor.write("v.ini", &format!("[vassal]\nuid = root\n{}{}{more}", self.hooks, self.command));
        wait_until("the app to have written", LONG, || self.written.exists());
    }

    fn saved(&self) -> usize {
        let is_saved = |zip: &&PathBuf| {
            let unpacked = Command::new("unzip").arg("-p").arg(zip).arg("f").output().expect("unzip: make deps");
            unpacked.stdout == b"precious\n"
        };
        self.zips.iter().filter(is_saved).count()
    }
}

fn emperor(host: &Host) -> Rc<Emperor> {
    host.emperor().under(&["prlimit", LIMIT]).start()
}

#[test]
fn of_more_archives_than_the_daemon_may_have_descriptors_each_is_saved() {
    story(|host| {
        let (many, emperor) = (Many::new(host, 60), emperor(host));
        many.write(&emperor, "stop-timeout = 120\n");
        emperor.ask_well(&["stop", "v", "--wait"]);
        assert_eq!(many.saved(), 60);
    });
}

#[test]
fn daemons_beside_the_app_take_none_from_the_end() {
    story(|host| {
        let (many, emperor) = (Many::new(host, 5), emperor(host));
        let attached = "attach-daemon = exec /bin/sleep 1002\n".repeat(14);
        many.write(&emperor, &format!("{attached}stop-timeout = 60\n"));
        let start = Instant::now();
        emperor.ask_well(&["stop", "v", "--wait"]);
        assert_eq!(many.saved(), 5);
        assert!(start.elapsed() < Duration::from_secs(30) * slowness(), "{:?}", start.elapsed());
    });
}

/// What a vassal runs has the limits of the daemon: hooks, the app, what is attached to it.
#[test]
fn what_init_starts_has_the_limits_of_the_daemon() {
    story(|host| {
        let emperor = host.emperor().under(&["prlimit", "--nofile=50:64"]).start();
        let limits = host.open_dir("limits");
        let tell = |name: &str| format!("ulimit -Sn > {0}/{name}; ulimit -Hn >> {0}/{name}", limits.display());
        let [hook, app, daemon] = ["hook", "app", "daemon"].map(tell);
        emperor.write(
            "v.ini",
            &format!(
                "[vassal]\nuid = root\nexec-as-root = {hook}\nattach-daemon = {daemon}; exec sleep 1002\n\
                 command = sh -c '{app}; exec sleep 1001'\n"
            ),
        );
        for name in ["hook", "app", "daemon"] {
            wait_until("its word", LONG, || fs::read_to_string(limits.join(name)).is_ok_and(|text| text == "50\n64\n"));
        }
    });
}

/// An init that has lost its descriptors cannot look for the daemon of a mount that comes then, which is a loss with its reason.
#[test]
fn what_could_not_be_looked_for_is_told() {
    story(|host| {
        let emperor = host.emperor().start();
        let (archive, go) = (Many::new(host, 1), host.path("go"));
        let mounts = archive.hooks.strip_prefix("exec-as-user = ").expect("it is a line").trim_end();
        let waits = format!("sh -c 'until test -e {}; do sleep 0.02; done; {mounts}; ", go.display());
        let command = archive.command.replace("sh -c '", &waits);
        emperor.write("v.ini", &format!("[vassal]\nuid = root\n{command}stop-timeout = 60\n"));
        emperor.wait_log("started");
        let init = emperor.vassal("sleep 0.02").init.pid;
        let is_open = |number: &u64| fs::symlink_metadata(format!("/proc/{init}/fd/{number}")).is_ok();
        let held = (0..).find(|number| !is_open(number)).expect("numbers do not end");
        let words = [format!("--pid={init}"), format!("--nofile={held}:{held}")];
        assert!(Command::new("prlimit").args(words).status().expect("prlimit: make deps").success());
        fs::write(&go, "").expect("a file of our own");
        wait_until("the app to have written", LONG, || archive.written.exists());
        let start = Instant::now();
        let (status, said) = emperor.ask(&["stop", "v", "--wait"]);
        let loss = format!("the daemon of {}: init has too few descriptors", host.path("mounts/0").display());
        assert!(status == 1 && said.contains(&loss) && !said.contains("stop-timeout"), "{status} {said}");
        assert!(start.elapsed() < Duration::from_secs(30) * slowness(), "{:?}", start.elapsed());
    });
}
