//! The directory in which both readers work, and what they see of the world: the same for both.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use liege_spec::{Kind, Lookup, NoAnswer, Writer};

/// Helper files by name. Only `names-k0.txt` refers to a placeholder, and the generator does not use it.
const HELPERS: &[(&str, &str)] = &[
    ("word.txt", "from-a-file\n"),
    ("two.txt", "first\nsecond\r\n"),
    ("empty.txt", ""),
    ("names-k0.txt", "<%(k0)>"),
    ("lines.txt", "one\ntwo \r\n\n four"),
    ("sub/a.txt", "a"),
    ("sub/b.txt", "b"),
    ("sub/dir/c.txt", "c"),
    ("inc.ini", "[uwsgi]\nfrom-inc = %s %S %n $(A_ENV)\nk1 = inc\n[other]\nnot = me\n"),
    ("inc-logic.ini", "[uwsgi]\nif-env = A_ENV\nin-if = %(_)\nendif =\nafter = 1\n"),
    ("inc-open.ini", "[uwsgi]\nif-env = NOPE\nnever = 1\n"),
    ("inc-none.ini", "[elsewhere]\na = b\n"),
    ("inherit.ini", "[uwsgi]\ninherited = %n %(k0) $(A_ENV) @(word.txt)\nfor = 1 2\ntwice = %(_)\nendfor =\n"),
    ("sections.ini", "[uwsgi]\nfrom-uwsgi = %x\n[web]\nfrom-web = %x %o\n[x:y]\ncolon = 1\n"),
];

/// The environment, whole.
const ENVIRONMENT: &[(&str, &str)] =
    &[("A_ENV", "env-value"), ("EMPTY_ENV", ""), ("K0_ENV", "(%(k0))"), ("NUM", "17"), ("PATH", "/usr/bin:/bin")];

/// What uWSGI made of a file.
pub(crate) enum Outcome {
    /// The pairs, as it prints them.
    Shown(String),
    /// It ended without printing; its last words.
    Refused(String),
}

/// A directory, and what was measured once.
pub(crate) struct World {
    directory: tempfile::TempDir,
    root: String,
    version: String,
    binary: String,
    processors: usize,
    hostname: String,
}

impl World {
    pub(crate) fn build() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().canonicalize().expect("its path").to_str().expect("in UTF-8").to_owned();
        std::fs::create_dir_all(directory.path().join("sub/dir")).expect("a directory");
        for (name, content) in HELPERS {
            std::fs::write(directory.path().join(name), content).expect("a file");
        }
        std::os::unix::fs::symlink("inc.ini", directory.path().join("link.ini")).expect("a link");
        let mut world =
            Self { directory, root, version: String::new(), binary: String::new(), processors: 0, hostname: String::new() };
        // These are facts about the machine, not about the dialect: uWSGI is asked, so that both readers know the same.
        world.write("probe.ini", b"[uwsgi]\nmy-version = %V\nmy-binary = %b\nmy-processors = %k\nmy-hostname = %h\n");
        let shown = match world.run_uwsgi("probe.ini", false) {
            Outcome::Shown(shown) => shown,
            Outcome::Refused(why) => panic!("uwsgi refuses the simplest file: {why}"),
        };
        let fact = |name: &str| {
            shown.lines().find_map(|line| line.strip_prefix(&format!("my-{name} = "))).unwrap_or_default().to_owned()
        };
        (world.version, world.binary, world.hostname) = (fact("version"), fact("binary"), fact("hostname"));
        world.processors = fact("processors").parse().expect("a number of processors");
        world
    }

    pub(crate) fn write(&self, name: &str, text: &[u8]) {
        std::fs::write(self.directory.path().join(name), text).expect("a file");
    }

    pub(crate) fn remove(&self, name: &str) {
        let _ = std::fs::remove_file(self.directory.path().join(name));
    }

    /// Lets the real uWSGI read a file of the directory. A slip of the generator (a placeholder that names
    /// itself grows without end there) must neither hang the suite nor eat the machine: `timeout` and `prlimit`.
    pub(crate) fn run_uwsgi(&self, name: &str, reload: bool) -> Outcome {
        let mut command = Command::new("/usr/bin/prlimit");
        // The switches come first: a logic line left open in the file would swallow them.
        command.args([
            "--as=1073741824",
            "/usr/bin/timeout",
            "--signal=KILL",
            "20",
            "uwsgi",
            "--show-config",
            "--no-server",
            "--ini",
            name,
        ]);
        command.current_dir(self.directory.path()).env_clear().envs(ENVIRONMENT.iter().copied());
        if reload {
            command.env("UWSGI_RELOADS", "0");
        }
        let output = command.stdin(Stdio::null()).output().expect("timeout (coreutils) runs");
        assert!(output.status.code() != Some(127), "uwsgi is missing: apt-get install -y uwsgi-core uwsgi-plugin-psgi");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let start = format!(";uWSGI instance configuration\n[uwsgi]\nshow-config = true\nno-server = true\nini = {name}\n");
        match said.split_once(&start).and_then(|(_, rest)| rest.split_once(";end of configuration\n\n")) {
            Some((pairs, _)) => Outcome::Shown(format!("[uwsgi]\n{pairs}")),
            None => Outcome::Refused(format!("{}, {said}", output.status)),
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        Path::new(&self.root).join(path)
    }
}

impl Lookup for World {
    fn read(&self, source: &str, _: usize) -> Result<Vec<u8>, NoAnswer> {
        std::fs::read(self.path(source)).map_err(|error| NoAnswer::Failed(error.to_string()))
    }

    fn writers(&self, _: &str) -> Result<BTreeSet<Writer>, NoAnswer> {
        Ok(BTreeSet::new())
    }

    fn kind(&self, path: &str) -> Result<Option<Kind>, NoAnswer> {
        let Ok(metadata) = std::fs::metadata(self.path(path)) else { return Ok(None) };
        Ok(Some(if metadata.is_file() {
            Kind::File
        } else if metadata.is_dir() {
            Kind::Directory
        } else {
            Kind::Other
        }))
    }

    /// `*` in the last component only, as the generator uses it.
    fn glob(&self, pattern: &str, _: usize) -> Result<Vec<String>, NoAnswer> {
        let Some((directory, last)) = pattern.rsplit_once('/') else { return Ok(Vec::new()) };
        let Some((front, back)) = last.split_once('*') else {
            return Ok(if self.kind(pattern)?.is_some() { vec![pattern.into()] } else { Vec::new() });
        };
        let entries = std::fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let fits = |name: &String| name.starts_with(front) && name.ends_with(back) && !name.starts_with('.');
        let mut found: Vec<String> = names.filter(fits).map(|name| format!("{directory}/{name}")).collect();
        found.sort();
        Ok(found)
    }

    fn env(&self, name: &str) -> Option<String> {
        ENVIRONMENT.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }

    fn hostname(&self) -> String {
        self.hostname.clone()
    }

    fn now(&self) -> u64 {
        0
    }

    fn directory(&self) -> String {
        self.root.clone()
    }

    fn own_identity(&self) -> (u32, String, u32, String) {
        let (uid, gid) = (nix::unistd::getuid(), nix::unistd::getgid());
        let user = nix::unistd::User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name);
        let group = nix::unistd::Group::from_gid(gid).ok().flatten().map_or_else(|| gid.to_string(), |group| group.name);
        (uid.as_raw(), user, gid.as_raw(), group)
    }

    fn processors(&self) -> usize {
        self.processors
    }

    fn user(&self, _: &str) -> Result<Option<(u32, u32, String)>, NoAnswer> {
        Ok(None)
    }

    fn group(&self, _: &str) -> Result<Option<u32>, NoAnswer> {
        Ok(None)
    }

    fn groups_of(&self, _: &str, _: u32) -> Result<Vec<u32>, NoAnswer> {
        Ok(Vec::new())
    }

    fn full_path(&self, path: &str) -> String {
        let path = self.path(path);
        let is_link = std::fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_symlink());
        let full = if is_link { path } else { path.canonicalize().unwrap_or(path) };
        full.to_string_lossy().into_owned()
    }

    fn inode(&self, path: &str) -> Option<u64> {
        use std::os::unix::fs::MetadataExt as _;
        std::fs::symlink_metadata(path).ok().map(|metadata| metadata.ino())
    }

    fn uwsgi_binary(&self) -> String {
        self.binary.clone()
    }

    fn uwsgi_version(&self) -> String {
        self.version.clone()
    }
}
