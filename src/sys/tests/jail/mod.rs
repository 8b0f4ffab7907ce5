//! A shell as pid 1 of its own mount and pid namespaces, told what to do line by line.
#![allow(dead_code, unreachable_pub, reason = "each story uses its part")]

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    os::{
        fd::AsFd,
        unix::{fs::PermissionsExt, net::UnixStream},
    },
    path::PathBuf,
    process::Command,
    time::Duration,
};

use liege_sys::{
    Strings,
    clone::{Birth, Child, Namespaces, spawn},
    descendants, pidfd,
    poll::{Interest, poll},
    wait,
};

/// Nothing waits so long unless it fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A user that owns nothing here.
pub const TENANT: u32 = 54_321;

pub struct Jail {
    pub child: Child,
    lines: BufReader<UnixStream>,
}

impl Jail {
    /// A shell in its own namespaces, with a fresh /proc and a /dev/fuse everybody may open.
    pub fn new(dir: &Dir) -> Self {
        let mut jail = Self::bare(Namespaces { mount: true, pid: true, ..Namespaces::default() });
        let node = dir.path("dev-fuse");
        jail.does("mount --make-rslave / && mount -t proc proc /proc");
        // fusermount wants a name for its user.
        let passwd = dir.path("passwd");
        jail.does(&format!(
            "(cat /etc/passwd; echo tenant:x:{TENANT}:{TENANT}::/:/bin/sh) > {passwd} && mount --bind {passwd} /etc/passwd"
        ));
        jail.does(&format!("mknod {node} c 10 229 && chmod 666 {node} && mount --bind {node} /dev/fuse"));
        jail
    }

    /// A shell and nothing else.
    pub fn bare(namespaces: Namespaces) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(PATIENCE)).unwrap();
        let program = File::open("/bin/sh").unwrap();
        let child = spawn(&Birth {
            namespaces,
            program: program.as_fd(),
            argv: &Strings::new(["sh"]).unwrap(),
            env: &Strings::new(["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]).unwrap(),
            fds: &[(theirs.as_fd(), 0), (theirs.as_fd(), 1), (theirs.as_fd(), 2)],
        })
        .unwrap();
        Self { child, lines: BufReader::new(ours) }
    }

    pub fn says(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub fn told(&mut self, command: &str) {
        writeln!(self.lines.get_mut(), "{command}").unwrap();
    }

    /// Runs a command and waits until it has succeeded.
    pub fn does(&mut self, command: &str) {
        self.told(&format!("if {{ {command}; }}; then echo done; else echo failed; fi"));
        let answer = self.says();
        assert_eq!(answer, "done", "{command}: {answer}");
    }

    /// A zip served by a real fuse-zip of the tenant, without allow_other. Gives the daemon's pid as we see it.
    pub fn mounts_zip(&mut self, zip: &str, at: &str) -> i32 {
        let before = descendants::children_of(self.child.pid);
        self.does(&format!("setpriv --reuid {TENANT} --regid {TENANT} --clear-groups fuse-zip -r {zip} {at}"));
        let now = descendants::children_of(self.child.pid);
        *now.iter().find(|pid| !before.contains(pid)).expect("fuse-zip runs below pid 1")
    }
}

impl Drop for Jail {
    fn drop(&mut self) {
        let _ = pidfd::signal(&self.child.pidfd, 9);
        wait::reap_blocking(self.child.pid);
    }
}

/// SIGKILL, and back when it is dead.
pub fn kill_and_wait(pid: i32) {
    let fd = pidfd::open(pid).unwrap();
    pidfd::signal(&fd, 9).unwrap();
    assert_eq!(poll(&[Interest::readable(fd.as_fd())], Some(PATIENCE)).unwrap(), [true]);
}

/// A directory of the tenant's that goes away with its test.
pub struct Dir(PathBuf);

impl Dir {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("liege-sys-{}-{name}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        std::os::unix::fs::chown(&path, Some(TENANT), Some(TENANT)).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// A directory of the tenant's below this one.
    pub fn dir(&self, name: &str) -> String {
        let path = self.path(name);
        std::fs::create_dir(&path).unwrap();
        std::os::unix::fs::chown(&path, Some(TENANT), Some(TENANT)).unwrap();
        path
    }

    /// A zip with one file, `hello`.
    pub fn zip(&self) -> String {
        let (file, zip) = (self.path("hello"), self.path("app.zip"));
        std::fs::write(&file, "hello").unwrap();
        let made = Command::new("zip").args(["-qj", &zip, &file]).status().expect("zip: apt-get install zip");
        assert!(made.success());
        std::fs::set_permissions(&zip, PermissionsExt::from_mode(0o644)).unwrap();
        zip
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
