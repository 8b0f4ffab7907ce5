//! A user namespace for a daemon that is to have nothing left: it has counts of its own for what `/proc/sys/user` bounds.

use std::fs;
use std::process::{Child, Command};

use crate::wait::{SHORT, wait_until};

/// A user namespace with the users of this one.
#[derive(Debug)]
pub struct UserNamespace(Child);

impl UserNamespace {
    /// Makes one that lives as long as this.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn new() -> Self {
        let holder = Command::new("unshare").args(["--user", "--mount", "sleep", "1000"]).spawn().expect("unshare: make deps");
        let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/user")).ok();
        let pid = holder.id().to_string();
        wait_until("a user namespace", SHORT, || of(&pid).is_some() && of(&pid) != of("self"));
        for map in ["uid_map", "gid_map"] {
            fs::write(format!("/proc/{pid}/{map}"), "0 0 4294967295\n").expect("root maps users");
        }
        Self(holder)
    }

    /// What executes a program as root of it.
    #[must_use]
    pub fn wrapper(&self) -> [String; 5] {
        ["nsenter", "--user", "--mount", "--target", &self.0.id().to_string()].map(str::to_owned)
    }

    /// Its processes may have so many of `/proc/sys/user/max_WHAT`.
    ///
    /// # Panics
    /// When the kernel refuses the bound.
    pub fn bound(&self, what: &str, count: u32) {
        let [program, arguments @ ..] = self.wrapper();
        let write = format!("echo {count} > /proc/sys/user/max_{what}");
        let status = Command::new(program).args(arguments).args(["sh", "-c", &write]).status();
        assert!(status.expect("nsenter: make deps").success());
    }
}

impl Default for UserNamespace {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for UserNamespace {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
