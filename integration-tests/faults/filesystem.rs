//! FUSE file systems of all kinds, each with something to serve and a mount point, and the lines of a vassal that mount it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::apps::{USER, own, user};
use crate::faults::Faultfs;
use crate::procs::Process;
use crate::story::Host;
use crate::tools;

/// Which program serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Our own, which fails on command.
    Faultfs,
    /// fuse-zip: a zip archive, libfuse 2, one thread.
    FuseZip,
    /// unionfs-fuse: a writable directory above a read-only one, libfuse 3, many threads.
    Unionfs,
    /// bindfs: another directory, libfuse 3.
    Bindfs,
    /// squashfuse: a squashfs image, the high-level interface.
    Squashfuse,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Faultfs, Self::FuseZip, Self::Unionfs, Self::Bindfs, Self::Squashfuse];

    /// Its program's name, which is its process's too.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::Faultfs => "faultfs",
            Self::FuseZip => "fuse-zip",
            Self::Unionfs => "unionfs-fuse",
            Self::Bindfs => "bindfs",
            Self::Squashfuse => "squashfuse",
        }
    }
}

/// Who mounts, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Root, with `allow_other`; the app is the user.
    RootForAll,
    /// Root without it; the app is root too, because nobody else gets in.
    Root,
    /// The user, by fusermount3; the app is the user.
    User,
}

impl Owner {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::RootForAll, Self::Root, Self::User];

    /// For the table.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::RootForAll => "root,other",
            Self::Root => "root",
            Self::User => "user",
        }
    }
}

/// One file system.
#[derive(Clone, Debug)]
pub struct Filesystem {
    /// Which.
    pub kind: Kind,
    /// Whose.
    pub owner: Owner,
    /// Where it is mounted. The directory below is empty.
    pub mount: PathBuf,
    /// The way to order faults, for the kind that takes orders.
    pub faultfs: Option<Faultfs>,
    command: String,
}

impl Filesystem {
    /// Makes what is to be served, and the mount point, below a directory of the story called `name`. Nothing is mounted.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn new(host: &Host, name: &str, kind: Kind, owner: Owner) -> Self {
        if kind != Kind::Faultfs {
            tools::need(kind.program());
        }
        let dir = host.open_dir(name);
        let (mount, source) = (dir.join("mount"), dir.join("source"));
        for path in [&mount, &source] {
            fs::create_dir_all(path).expect("mkdir in our own directory");
            if owner == Owner::User {
                crate::apps::own(path);
            }
        }
        if kind != Kind::Faultfs {
            fs::write(source.join("hello"), format!("hello from {}\n", kind.program())).expect("write in our own directory");
        }
        let faultfs = (kind == Kind::Faultfs).then(|| Faultfs { control: dir.join("control") });
        let command = command(host, kind, owner, &dir);
        Self { kind, owner, mount, faultfs, command }
    }

    /// The lines of a vassal that mount it.
    #[must_use]
    pub fn lines(&self) -> String {
        self.lines_with("")
    }

    /// The same with more at the end of the command line.
    #[must_use]
    pub fn lines_with(&self, more: &str) -> String {
        let hook = if self.owner == Owner::User { "exec-as-user = " } else { "hook-pre-jail = exec:" };
        format!("{hook}{} {more}\n", self.command)
    }

    /// Mounts it somewhere else: on a directory that is there when it is mounted.
    pub fn move_to(&mut self, mount: PathBuf) {
        self.command = self.command.replace(&*self.mount.to_string_lossy(), &mount.to_string_lossy());
        self.mount = mount;
    }

    /// The identity of the app that lives from it.
    #[must_use]
    pub fn app_identity(&self) -> String {
        if self.owner == Owner::Root { String::new() } else { format!("uid = {USER}\ngid = {USER}\n") }
    }

    /// A file on it, and what stands in it.
    #[must_use]
    pub fn hello(&self) -> (PathBuf, String) {
        (self.mount.join("hello"), format!("hello from {}\n", self.kind.program()))
    }

    /// Mounts it here, outside of any vassal, as its owner; the daemon becomes a child of the story's process.
    ///
    /// # Panics
    /// When it cannot be mounted.
    pub fn mount_here(&self) {
        self.mount_by(Command::new("setpriv"));
    }

    /// Mounts it in the namespaces of a process, whose pid 1 its daemon becomes a child of.
    ///
    /// # Panics
    /// When it cannot be mounted.
    pub fn mount_beside(&self, process: &Process) {
        let mut enter = Command::new("nsenter");
        enter.args(["-m", "-p", "-t", &process.pid.to_string(), "--", "setpriv"]);
        self.mount_by(enter);
    }

    fn mount_by(&self, mut sh: Command) {
        if self.owner == Owner::User {
            sh.args([&format!("--reuid={USER}"), &format!("--regid={USER}"), "--init-groups"]);
        }
        let status = sh.args(["sh", "-c", &self.command]).status().expect("setpriv is installed: make deps");
        assert!(status.success(), "{}: {status}", self.command);
    }
}

fn command(host: &Host, kind: Kind, owner: Owner, dir: &Path) -> String {
    let (mount, source) = (dir.join("mount"), dir.join("source"));
    let (mount, source) = (mount.display(), source.display());
    let for_all = owner == Owner::RootForAll;
    let others = if for_all { "-o allow_other " } else { "" };
    match kind {
        Kind::Faultfs => {
            let (uid, gid) = user();
            // With allow_other the owner may be anybody: here it is the user for whom root mounts.
            let others = if for_all { format!("--allow-other --owner {uid}:{gid} ") } else { String::new() };
            format!("{} {others}{mount} {}", host.helper("faultfs").display(), dir.join("control").display())
        }
        Kind::FuseZip => {
            let zip = dir.join("source.zip");
            run(Command::new("zip").arg("-q").arg(&zip).arg("hello").current_dir(dir.join("source")));
            format!("fuse-zip -r {others}{} {mount}", zip.display())
        }
        Kind::Unionfs => {
            let above = dir.join("above");
            fs::create_dir_all(&above).expect("mkdir in our own directory");
            if owner == Owner::User {
                own(&above);
            }
            let others = if for_all { ",allow_other" } else { "" };
            format!("unionfs-fuse -o cow{others} {}=RW:{source}=RO {mount}", above.display())
        }
        Kind::Bindfs => {
            let others = if for_all { "" } else { "--no-allow-other " }; // its default is the other way round
            format!("bindfs {others}{source} {mount}")
        }
        Kind::Squashfuse => {
            let image = dir.join("source.sqfs");
            run(Command::new("mksquashfs").arg(dir.join("source")).arg(&image).args(["-quiet", "-no-progress"]));
            format!("squashfuse {others}{} {mount}", image.display())
        }
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}: make deps"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
