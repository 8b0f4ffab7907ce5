//! A zip that is mounted for reading and writing. Its daemon writes it back when it ends, so it tells whether an end was in order.

use std::fs;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::Command;

use crate::apps::{USER, own};
use crate::emperor::Emperor;
use crate::story::Host;
use crate::wait::{LONG, wait_until};

/// What is written into it: random, because it shall take its time.
const SIZE: u64 = 20_000_000;

/// A zip, the place where it is mounted, and what an app writes into it.
#[derive(Clone, Debug)]
pub struct Archive {
    /// The archive, in a directory of its own: fuse-zip writes a new one beside it.
    pub zip: PathBuf,
    /// Where it is mounted.
    pub mount: PathBuf,
    /// The file that is written into it.
    pub precious: PathBuf,
    written: PathBuf,
}

impl Archive {
    /// An archive with one small file in it.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn new(host: &Host, name: &str) -> Self {
        let [dir, mount, marks] = ["zip", "mount", "mark"].map(|kind| host.open_dir(&format!("{name}.{kind}")));
        own(&mount);
        let (zip, precious) = (dir.join("a.zip"), host.path("precious"));
        if !precious.exists() {
            let mut bytes = Vec::new();
            fs::File::open("/dev/urandom").expect("a kernel").take(SIZE).read_to_end(&mut bytes).expect("random bytes");
            fs::write(&precious, bytes).expect("write in our own directory");
        }
        let small = host.path("small.txt");
        fs::write(&small, "small\n").expect("write in our own directory");
        let packed = Command::new("zip").arg("-qj").arg(&zip).arg(&small).status().expect("zip is installed: make deps");
        assert!(packed.success(), "zip failed");
        own(&zip);
        Self { zip, mount, precious, written: marks.join("written") }
    }

    /// Lines of a `[vassal]` that runs as a user.
    #[must_use]
    pub fn identity(&self) -> String {
        format!("uid = {USER}\ngid = {USER}\n")
    }

    /// The line that mounts it.
    #[must_use]
    pub fn hook(&self) -> String {
        format!("exec-as-user = fuse-zip {} {}\n", self.zip.display(), self.mount.display())
    }

    /// The line that mounts it as a daemon in the foreground.
    #[must_use]
    pub fn attached(&self) -> String {
        format!("attach-daemon = exec fuse-zip -f {} {}\n", self.zip.display(), self.mount.display())
    }

    /// A shell's words that write the file and say so, once the mount is there, and then do `more`.
    #[must_use]
    pub fn command(&self, more: &str) -> String {
        let [mount, precious, written] = [&self.mount, &self.precious, &self.written].map(|path| path.display());
        let wait = format!("until test -e {mount}/small.txt; do sleep 0.02; done");
        format!("command = sh -c '{wait}; cp {precious} {mount}/precious; echo x >> {written}; {more}'\n")
    }

    /// A vassal that mounts it, writes into it, and goes on.
    #[must_use]
    pub fn vassal(&self, more: &str) -> String {
        let check = format!("mountpoint-check = {}\n", self.mount.display());
        format!("[vassal]\n{}{}{}{check}{more}", self.identity(), self.hook(), self.command("exec sleep 1001"))
    }

    /// A vassal that mounts it and writes the file into it in the first of its lives only; each life changes the archive.
    #[must_use]
    pub fn written_once(&self) -> String {
        let [mount, precious, written] = [&self.mount, &self.precious, &self.written].map(|path| path.display());
        let once = format!("test -e {written} || cp {precious} {mount}/precious");
        let command = self
            .command("exec sleep 1001")
            .replace(&format!("cp {precious} {mount}/precious;"), &format!("{once}; echo x >> {mount}/lives;"));
        format!("[vassal]\n{}{}{command}", self.identity(), self.hook())
    }

    /// A vassal that mounts it and writes into it while it is prepared, and never gets to its app.
    #[must_use]
    pub fn prepared(&self, more: &str) -> String {
        let [mount, precious, written] = [&self.mount, &self.precious, &self.written].map(|path| path.display());
        let write = format!("cp {precious} {mount}/precious && echo x >> {written}");
        let steps = format!("exec-as-user = {write}\nexec-as-user = sleep 1001\n");
        format!("[vassal]\n{}{}{steps}command = sleep 1002\n{more}", self.identity(), self.hook())
    }

    /// Waits until the app of a vassal has written so many times.
    ///
    /// # Panics
    /// When it does not in time.
    #[track_caller]
    pub fn written(&self, times: usize) {
        wait_until("the app to have written into the archive", LONG, || {
            fs::read_to_string(&self.written).is_ok_and(|text| text.lines().count() >= times)
        });
    }

    /// That nothing was lost, and no loss told.
    ///
    /// # Panics
    /// When something was.
    #[track_caller]
    pub fn assert_saved(&self, emperor: &Emperor, namespaces: Option<&str>) {
        assert!(self.is_saved(), "{namespaces:?}: lost");
        let unsaved = emperor.log().into_iter().find(|line| line.contains("not written back"));
        assert_eq!(unsaved, None);
    }

    /// Whether the archive holds what was written, and nothing half-written lies beside it.
    #[must_use]
    pub fn is_saved(&self) -> bool {
        let unpacked =
            Command::new("unzip").arg("-p").arg(&self.zip).arg("precious").output().expect("unzip is installed: make deps");
        let beside = fs::read_dir(self.zip.parent().expect("a directory")).expect("it is there").count();
        unpacked.status.success() && beside == 1 && unpacked.stdout == fs::read(&self.precious).expect("it is there")
    }
}
