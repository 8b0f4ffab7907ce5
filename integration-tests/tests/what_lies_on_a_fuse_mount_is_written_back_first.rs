//! What uses a FUSE mount without standing on it (the image of a loop device, a layer of an overlay) goes first at an orderly end, so that
//! what was written there reaches the archive. A connection that lives on when its mounts are gone is asked to end at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use liege_integration_tests::tools::need;
use liege_integration_tests::wait::slowness;
use liege_integration_tests::{Emperor, Host, LONG, story, wait_for, wait_until};

const NAMESPACES: [Option<&str>; 2] = [Some("fs,pid"), None];

/// Half of this would be the wait for a connection that does not go.
const STOP: u32 = 60;
const AT_ONCE: Duration = Duration::from_secs(12);

/// An archive with an empty file system in it.
struct Zipped {
    zip: PathBuf,
    mount: PathBuf,
    /// Where the image is mounted.
    inside: PathBuf,
    written: PathBuf,
}

impl Zipped {
    fn new(host: &Host) -> Self {
        for program in ["unzip", "mkfs.ext2", "debugfs", "losetup"] {
            need(program);
        }
        let [dir, mount, inside, marks] = ["zip", "mount", "inside", "marks"].map(|name| host.open_dir(name));
        let (zip, image) = (dir.join("a.zip"), host.path("i"));
        fs::File::create(&image).and_then(|file| file.set_len(4 << 20)).expect("a file of our own");
        done(Command::new("mkfs.ext2").arg("-q").arg(&image));
        done(Command::new("zip").arg("-qj").arg(&zip).arg(&image));
        Self { zip, mount, inside, written: marks.join("written") }
    }

    fn hook(&self) -> String {
        format!("exec-as-user = fuse-zip {} {}\n", self.zip.display(), self.mount.display())
    }

    fn image_hook(&self) -> String {
        format!("exec-as-user = mount -o loop {}/i {}\n", self.mount.display(), self.inside.display())
    }

    /// The command writes into the image, and says so.
    fn command(&self, more: &str) -> String {
        let (inside, written) = (self.inside.display(), self.written.display());
        format!(
            "command = sh -c 'echo precious > {inside}/f; {more}echo x > {written}; exec sleep 1001'\nstop-timeout = {STOP}\n"
        )
    }

    fn is_written(&self) {
        wait_until("the app to have written", LONG, || self.written.exists());
    }

    fn assert_saved(&self, emperor: &Emperor, namespaces: Option<&str>) {
        let image = self.zip.with_file_name("out");
        let unpacked = Command::new("unzip").arg("-p").arg(&self.zip).arg("i").output().expect("unzip: make deps");
        fs::write(&image, unpacked.stdout).expect("a file of our own");
        let read = Command::new("debugfs").args(["-R", "cat f"]).arg(&image).output().expect("debugfs: make deps");
        assert_eq!(String::from_utf8_lossy(&read.stdout), "precious\n", "{namespaces:?}");
        nothing_is_told(emperor);
        let devices = Command::new("losetup").arg("-a").output().expect("losetup: make deps");
        let devices = String::from_utf8_lossy(&devices.stdout).into_owned();
        assert!(!devices.contains(self.mount.to_str().expect("plain letters")), "{devices}");
    }
}

fn done(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
}

fn nothing_is_told(emperor: &Emperor) {
    let told = emperor.log().into_iter().find(|line| line.contains("not written back"));
    assert_eq!(told, None);
}

/// How long a stop took.
fn stopped(emperor: &Rc<Emperor>) -> Duration {
    let start = Instant::now();
    emperor.ask_well(&["stop", "v", "--wait"]);
    start.elapsed()
}

#[test]
fn an_image_that_lies_on_it() {
    for namespaces in NAMESPACES {
        story(|host| {
            let zipped = Zipped::new(host);
            let emperor = host.emperor().namespaces(namespaces).start();
            let (hooks, command) = (zipped.hook() + &zipped.image_hook(), zipped.command(""));
            emperor.write("v.ini", &format!("[vassal]\nuid = root\n{hooks}{command}"));
            zipped.is_written();
            let took = stopped(&emperor);
            zipped.assert_saved(&emperor, namespaces);
            assert!(took < AT_ONCE * slowness(), "{took:?}");
        });
    }
}

/// The daemon of the archive was started before what keeps the image busy, so that is not ended before the mounts.
#[test]
fn an_image_that_is_kept_busy_by_what_the_hooks_left() {
    story(|host| {
        let zipped = Zipped::new(host);
        let emperor = host.emperor().start();
        let inside = zipped.inside.display();
        // A FUSE daemon that is younger than it, so that it is not taken for one that the mounts can do without.
        let other = host.open_dir("other");
        let busy = format!("exec-as-user = cd {inside} && setsid sleep 1002 <&- >&- 2>&- &\n");
        let last = format!("exec-as-user = bindfs {} {}\n", host.open_dir("source").display(), other.display());
        let hooks = zipped.hook() + &zipped.image_hook() + &busy + &last;
        emperor.write("v.ini", &format!("[vassal]\nuid = root\n{hooks}{}", zipped.command("")));
        zipped.is_written();
        stopped(&emperor);
        zipped.assert_saved(&emperor, None);
    });
}

/// The overlay goes first, and with it the last that holds the layer's connection.
#[test]
fn an_overlay_above_it_costs_no_time() {
    story(|host| {
        let zipped = Zipped::new(host);
        let emperor = host.emperor().start();
        let [upper, work] = ["upper", "work"].map(|name| host.open_dir(name));
        let [low, upper, work, inside] = [&zipped.mount, &upper, &work, &zipped.inside].map(|path| path.display());
        let overlay = format!("exec-as-user = mount -t overlay -o lowerdir={low},upperdir={upper},workdir={work} o {inside}\n");
        let more = format!("echo precious > {low}/f; ");
        emperor.write("v.ini", &format!("[vassal]\nuid = root\n{}{overlay}{}", zipped.hook(), zipped.command(&more)));
        zipped.is_written();
        let took = stopped(&emperor);
        assert!(took < AT_ONCE * slowness(), "{took:?}");
        is_in(&zipped.zip);
        nothing_is_told(&emperor);
    });
}

/// Another process has a copy of the mount in a namespace of its own, so the connection lives on when the mount is gone.
#[test]
fn a_copy_of_it_elsewhere_costs_no_time() {
    for options in ["", "-o auto_unmount "] {
        story(|host| {
            let zipped = Zipped::new(host);
            let emperor = host.emperor().namespaces(None).start();
            let hook = zipped.hook().replace("fuse-zip ", &format!("fuse-zip {options}"));
            let more = format!("echo precious > {}/f; ", zipped.mount.display());
            emperor.write("v.ini", &format!("[vassal]\nuid = root\n{hook}{}", zipped.command(&more)));
            zipped.is_written();
            let mut copy = Command::new("unshare")
                .args(["-m", "--propagation", "private", "sleep", "1003"])
                .stdin(Stdio::null())
                .spawn()
                .expect("unshare: make deps");
            let table = format!("/proc/{}/mountinfo", copy.id());
            let has_begun = || fs::read_to_string(format!("/proc/{}/comm", copy.id())).is_ok_and(|name| name == "sleep\n");
            wait_until("the copy", LONG, has_begun);
            let is_copied = fs::read_to_string(table).is_ok_and(|table| table.contains(zipped.mount.to_str().unwrap()));
            assert!(is_copied, "nothing is told here without one");
            let took = stopped(&emperor);
            copy.kill().and_then(|()| copy.wait()).expect("our own child");
            is_in(&zipped.zip);
            nothing_is_told(&emperor);
            assert!(took < AT_ONCE * slowness(), "{options}: {took:?}");
        });
    }
}

fn is_in(zip: &Path) {
    wait_for("the file in the archive", AT_ONCE, || {
        let unpacked = Command::new("unzip").arg("-p").arg(zip).arg("f").output().expect("unzip: make deps");
        (unpacked.stdout == b"precious\n").then_some(())
    });
}
