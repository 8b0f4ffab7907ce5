//! Apps: the seed's own vassal files with only their names, paths and port altered, and the zip they serve.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{Gid, Group, Uid, User, chown};

use crate::http::free_port;
use crate::story::Host;
use crate::wait::{SHORT, wait_for};

/// The account vassals run as: one that every Debian has, so that nothing must be created.
pub const USER: &str = "www-data";

/// The seed's first vassal: no check.
pub const SEED_FIRST: &str = "\
[uwsgi]
uid = user001
gid = user001

; mount fuse filesystem under /app (but only if it is not a reload)
if-not-reload =
  exec-as-user = fuse-zip -r /var/www/app001.zip /app
endif =

http-socket = :9090
psgi = /app/myapp.pl
";

/// What the seed's second vassal has more.
pub const SEED_CHECK: &str = "\nmountpoint-check = /app\n";

/// A zip with a PSGI app, the mount point it belongs to, and a port.
#[derive(Clone, Debug)]
pub struct ZipApp {
    /// The archive.
    pub zip: PathBuf,
    /// The mount point, owned by [`USER`].
    pub mount: PathBuf,
    /// Where it shall listen, on the loopback interface.
    pub port: u16,
}

impl ZipApp {
    /// Packs an app that answers `text`, with the Info-ZIP program (it sets the file type bits fuse-zip wants).
    ///
    /// # Panics
    /// When packing fails.
    #[must_use]
    pub fn new(host: &Host, name: &str, text: &str) -> Self {
        let (source, mount) = (host.path(&format!("{name}.src")), host.path(name));
        fs::create_dir_all(&source).expect("mkdir in our own directory");
        fs::create_dir_all(&mount).expect("mkdir in our own directory");
        own(&mount);
        let app = Self { zip: host.path(&format!("{name}.zip")), mount, port: free_port() };
        app.pack(&source, text);
        app
    }

    /// Packs again, with another answer.
    ///
    /// # Panics
    /// When packing fails.
    pub fn pack(&self, source: &Path, text: &str) {
        fs::create_dir_all(source).expect("mkdir in our own directory");
        fs::write(source.join("myapp.pl"), PSGI).expect("write in our own directory");
        fs::write(source.join("page.txt"), text).expect("write in our own directory");
        let _ = fs::remove_file(&self.zip); // zip would add to it
        let status = Command::new("zip").arg("-q").arg(&self.zip).args(["myapp.pl", "page.txt"]).current_dir(source).status();
        assert!(status.expect("zip is installed: make deps").success(), "zip failed");
    }

    /// The seed's vassal with `mountpoint-check`.
    #[must_use]
    pub fn checked(&self) -> String {
        self.alter(&format!("{SEED_FIRST}{SEED_CHECK}"))
    }

    /// The seed's first vassal, without the check.
    #[must_use]
    pub fn unchecked(&self) -> String {
        self.alter(SEED_FIRST)
    }

    /// One of the seed's texts with names, paths and the port replaced, and nothing else.
    fn alter(&self, seed: &str) -> String {
        seed.replace("/var/www/app001.zip", "<zip>")
            .replace("/app", &self.mount.display().to_string())
            .replace("<zip>", &self.zip.display().to_string())
            .replace("user001", USER)
            .replace(":9090", &format!("127.0.0.1:{}", self.port))
    }
}

/// A PSGI app that reads its page from the mount for every request: a dead mount is a 503, never a page from memory.
const PSGI: &str = r#"my ($dir) = __FILE__ =~ m{(.*)/};
my $app = sub {
    open(my $file, '<', "$dir/page.txt") or return [503, ['Content-Type' => 'text/plain'], ["$dir/page.txt: $!\n"]];
    my $page = do { local $/; <$file> };
    return [defined $page ? 200 : 503, ['Content-Type' => 'text/plain'], [$page // "$dir/page.txt: $!\n"]];
};
"#;

/// A vassal whose command writes down in what state it was started, each time.
#[derive(Clone, Debug)]
pub struct Reporter {
    /// One line of JSON for each start.
    pub file: PathBuf,
    program: PathBuf,
}

impl Reporter {
    /// One whose reports are kept apart by `name`, a word that also stands in its command line.
    #[must_use]
    pub fn new(host: &Host, name: &str) -> Self {
        Self { file: host.open_dir("reports").join(name), program: host.helper("report") }
    }

    /// Its vassal file: the command as root, and `more` lines.
    #[must_use]
    pub fn vassal(&self, more: &str) -> String {
        let root = if more.contains("uid = ") { "" } else { "uid = root\n" };
        format!("[vassal]\ncommand = {}\n{more}{root}", self.command())
    }

    /// The command line.
    #[must_use]
    pub fn command(&self) -> String {
        format!("{} {}", self.program.display(), self.file.display())
    }

    /// All starts so far.
    ///
    /// # Panics
    /// When a line is no JSON.
    #[must_use]
    pub fn starts(&self) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        text.split_inclusive('\n')
            .filter(|l| l.ends_with('\n'))
            .map(|l| serde_json::from_str(l).expect("a report is JSON"))
            .collect()
    }

    /// Waits until there are at least `count` starts; the newest.
    ///
    /// # Panics
    /// When there are not in time.
    #[track_caller]
    #[must_use]
    pub fn started(&self, count: usize) -> serde_json::Value {
        self.nth_within(count, SHORT)
    }

    /// Waits longer for the first start.
    ///
    /// # Panics
    /// When there is none in time.
    #[track_caller]
    #[must_use]
    pub fn started_within(&self, limit: std::time::Duration) -> serde_json::Value {
        self.nth_within(1, limit)
    }

    #[track_caller]
    fn nth_within(&self, count: usize, limit: std::time::Duration) -> serde_json::Value {
        let what = format!("start number {count} of {}", self.file.display());
        wait_for(&what, limit, || self.starts().into_iter().nth(count - 1))
    }
}

/// Uid and gid of [`USER`].
///
/// # Panics
/// When this machine has no such account.
#[must_use]
pub fn user() -> (Uid, Gid) {
    let user = User::from_name(USER).ok().flatten().unwrap_or_else(|| panic!("there is no user {USER} on this machine"));
    let group = Group::from_name(USER).ok().flatten().unwrap_or_else(|| panic!("there is no group {USER} on this machine"));
    (user.uid, group.gid)
}

/// Gives a path to [`USER`].
///
/// # Panics
/// When it is not there.
pub fn own(path: &Path) {
    let (uid, gid) = user();
    chown(path, Some(uid), Some(gid)).unwrap_or_else(|e| panic!("chown {}: {e}", path.display()));
}
