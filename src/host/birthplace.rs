//! What every init is born from: its pinned program, its environment, the ends of its standard streams. Made once, at start.
//!
//! The program is a sealed copy: an upgrade on disk cannot give one daemon two versions of init, and no vassal gets at the host's file
//! through the process that runs it. (Measured: it costs its size in memory, under 2 MB, once; an exec of it takes as long as one of the file.)

use std::{
    ffi::OsString,
    fs::File,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{
            ffi::{OsStrExt, OsStringExt},
            net::UnixStream,
        },
    },
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use liege_plan::fds;
use liege_spec::Namespaces;
use liege_sys::{
    Strings,
    clone::{Birth, BirthError, Child},
    sealed,
};

use crate::children::{Children, Ending};

/// Shared by all births.
#[derive(Debug)]
pub(crate) struct Birthplace {
    init: OwnedFd,
    env: Strings,
    null: File,
}

impl Birthplace {
    /// Finds and pins `liege-init`, and computes the environment.
    ///
    /// # Errors
    /// There is no `liege-init` where it belongs.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let env = passed_on(std::env::vars_os());
        Ok(Self {
            init: pin_init()?,
            env: Strings::new(env.into_iter().map(|(name, value)| pair(&name, &value))).context("the environment")?,
            null: sealed::null().context("open /dev/null")?,
        })
    }

    /// Clones an init. Blocks until it has been executed; it then waits on the channel for its plan.
    ///
    /// # Errors
    /// The stage that failed, and its errno.
    pub(crate) fn bear(
        &self,
        children: &Children,
        vassal: &str,
        namespaces: Namespaces,
        cgroup: Option<BorrowedFd<'_>>,
        channel: &UnixStream,
        log: Option<BorrowedFd<'_>>,
    ) -> Result<(Child, Ending), BirthError> {
        // A name with a zero byte cannot come from a file name.
        let argv = Strings::new(["liege-init", vassal]).unwrap_or_else(|_| empty());
        let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
        // What is not needed is not given: where there is a log nothing is written to the daemon's own output.
        let (out, err) = if log.is_some() { (self.null.as_fd(), self.null.as_fd()) } else { (stdout.as_fd(), stderr.as_fd()) };
        let mut given = vec![(self.null.as_fd(), 0), (out, 1), (err, 2), (channel.as_fd(), fds::CHANNEL)];
        given.extend(log.map(|log| (log, fds::LOG)));
        children.spawn(&Birth {
            namespaces: liege_sys::clone::Namespaces {
                mount: namespaces.mount,
                pid: namespaces.pid,
                ipc: namespaces.ipc,
                uts: namespaces.uts,
                net: namespaces.net,
                // Made by init when it is in its groups: the namespace's root is the group one is in at that moment.
                cgroup: false,
                user: namespaces.user,
            },
            cgroup,
            program: self.init.as_fd(),
            argv: &argv,
            env: &self.env,
            fds: &given,
        })
    }
}

fn empty() -> Strings {
    Strings::new::<Vec<u8>>([]).unwrap_or_else(|_| unreachable!("no string has a zero byte in it"))
}

/// What systemd and uWSGI tell the daemon alone: its sockets, its credentials, where its own output goes, what it shall watch.
/// (uWSGI takes LISTEN_FDS out when it takes the sockets.)
const OF_THE_DAEMON: [&str; 18] = [
    "CREDENTIALS_DIRECTORY",
    "FDSTORE",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "MAINPID",
    "MANAGERPID",
    "MANAGERPIDFDID",
    "MEMORY_PRESSURE_WATCH",
    "MEMORY_PRESSURE_WRITE",
    "NOTIFY_SOCKET",
    "SYSTEMD_EXEC_PID",
    "UWSGI_RELOADS",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// uWSGI's rules for what a vassal sees: `UWSGI_VASSAL_X=V` becomes `UWSGI_X=V`; what belongs to the daemon alone is left out.
fn passed_on(env: impl Iterator<Item = (OsString, OsString)>) -> Vec<(OsString, OsString)> {
    let (for_vassals, own): (Vec<_>, Vec<_>) = env.partition(|(name, _)| name.as_bytes().starts_with(b"UWSGI_VASSAL_"));
    let renamed: Vec<_> = for_vassals
        .into_iter()
        .map(|(name, value)| (OsString::from_vec([b"UWSGI_", &name.as_bytes()[b"UWSGI_VASSAL_".len()..]].concat()), value))
        .collect();
    own.into_iter()
        .filter(|(name, _)| !OF_THE_DAEMON.iter().any(|own| name == own))
        .filter(|(name, _)| renamed.iter().all(|(new, _)| new != name))
        .chain(renamed.iter().cloned())
        .collect()
}

/// `NAME=VALUE`, whatever bytes they are.
pub(crate) fn pair(name: &OsString, value: &OsString) -> Vec<u8> {
    [name.as_bytes(), b"=", value.as_bytes()].concat()
}

fn pin_init() -> anyhow::Result<OwnedFd> {
    let own = std::fs::read_link("/proc/self/exe").context("read /proc/self/exe (is /proc mounted?)")?;
    let places = init_places(&own);
    for place in &places {
        match sealed::program(place, c"liege-init") {
            Ok(fd) => return Ok(fd),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(error) => bail!("{}: {error}", place.display()),
        }
    }
    let looked: Vec<_> = places.iter().map(|p| p.display().to_string()).collect();
    bail!(
        "liege-init, the program that becomes pid 1 of a vassal, is neither {}: was only half of liege installed?",
        looked.join(" nor ")
    )
}

/// Where init may be, seen from the daemon's own program.
fn init_places(own: &Path) -> [PathBuf; 2] {
    let bin = own.parent().unwrap_or(Path::new("/"));
    let prefix = bin.parent().unwrap_or(Path::new("/"));
    [bin.join("liege-init"), prefix.join("libexec/liege/liege-init")]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(env: &[(&str, &str)]) -> Vec<String> {
        let pairs = env.iter().map(|(n, v)| (OsString::from(n), OsString::from(v)));
        passed_on(pairs).iter().map(|(n, v)| String::from_utf8(pair(n, v)).unwrap()).collect()
    }

    #[test]
    fn a_variable_for_vassals_loses_its_prefix_and_wins() {
        assert_eq!(rewritten(&[("UWSGI_CHEAPER", "1"), ("UWSGI_VASSAL_CHEAPER", "2")]), ["UWSGI_CHEAPER=2"]);
    }

    #[test]
    fn what_belongs_to_the_daemon_alone_is_not_passed_on() {
        let env: Vec<_> = OF_THE_DAEMON.iter().map(|name| (*name, "x")).chain([("PATH", "/bin")]).collect();
        assert_eq!(rewritten(&env), ["PATH=/bin"]);
    }

    #[test]
    fn init_is_looked_for_beside_the_daemon_then_in_libexec() {
        let places = init_places(Path::new("/usr/bin/liege"));
        assert_eq!(places, [PathBuf::from("/usr/bin/liege-init"), PathBuf::from("/usr/libexec/liege/liege-init")]);
    }
}
