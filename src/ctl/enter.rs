//! `liege enter`: a shell or a command beside the app of a vassal.
//!
//! Who the vassal is the daemon knows: the pid of its init, and of its app inside. A pid may be somebody else's a moment later, so
//! the pidfd comes first and the daemon is asked once more: it reaps its own children, so a pid it still names was not reused.
//! What the command sees of environment, directory and identity is the app's, or init's before there is an app.

use std::{fmt, fs, os::fd::OwnedFd, path::Path};

use liege_core::VassalView;
use liege_sys::{
    Errno, Strings, attempt, descendants,
    identity::Identity,
    join::{Guest, JoinStage, Surroundings, Visit},
    pidfd,
    process::OneThread,
};

use crate::{Client, Failure, words};

/// How a visit is made.
#[derive(Clone, Debug, Default)]
pub struct Visitor {
    /// Program and arguments; a shell where there are none.
    pub command: Vec<String>,
    /// As the app's user instead of root.
    pub as_user: bool,
    /// With a fresh environment instead of the app's.
    pub clean: bool,
}

/// Why somebody was not let in.
#[derive(Debug)]
pub enum Refusal {
    /// The daemon did not help.
    Daemon(Failure),
    /// One sentence.
    Because(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Daemon(failure) => failure.fmt(f),
            Self::Because(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Refusal {}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Daemon(failure)
    }
}

/// Shells, the friendlier one first.
const SHELLS: [&str; 2] = ["/bin/bash", "/bin/sh"];
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Enters, waits for the command's end, and gives the exit code to pass on: its own; 128 and the number of the signal that killed it;
/// 127 and 126 as a shell's for a program that is not there or not executable; 137 where the vassal ended under it.
///
/// # Errors
/// The vassal does not run, or the kernel does not let us in; told in words.
pub fn enter(control: &Path, name: &str, visitor: &Visitor) -> Result<u8, Refusal> {
    let because = |why: String| Refusal::Because(format!("{name}: {why}"));
    if attempt::user() != 0 {
        return Err(because("only root enters a vassal".to_owned()));
    }
    let alone = OneThread::now().ok_or_else(|| because("this process has more than one thread".to_owned()))?;
    let client = Client::new(control);
    let gone = |_: Errno| because("it ended just now".to_owned());
    let init = running(&client, name)?.0;
    let held = pidfd::open(init).map_err(gone)?;
    let (again, app) = running(&client, name)?;
    if again != init {
        return Err(because("it was started anew just now: try again".to_owned()));
    }
    if !fs::read_to_string(format!("/proc/{init}/comm")).is_ok_and(|comm| comm.trim() == "liege-init") {
        return Err(because(format!("pid {init} is no liege-init here: is the daemon in another pid namespace?")));
    }
    let app = app.and_then(|app| Some((child_called(init, app)?, app)));
    let (pid, held) = match app {
        Some((pid, inside)) => {
            let app: OwnedFd = pidfd::open(pid).map_err(gone)?;
            // It is init's child still, and inside still that number: so the fd is its.
            if child_called(init, inside) != Some(pid) { (init, held) } else { (pid, app) }
        }
        None => (init, held),
    };
    if visitor.as_user && pid == init {
        return Err(because("its app does not run, so it is nobody yet: enter it as root".to_owned()));
    }
    let user = visitor.as_user.then(|| user_of(pid)).flatten();
    let env = environment(pid, visitor);
    let around = Surroundings::of(held, pid).map_err(|errno| match errno {
        Errno::ESRCH | Errno::ENOENT => gone(errno),
        _ => because(format!("look at its namespaces: {errno}")),
    })?;
    let (programs, argv) = program(&visitor.command, &env);
    let strings = |of: Vec<Vec<u8>>| Strings::new(of).map_err(|_| because("a zero byte in the command".to_owned()));
    let (programs, argv, env) = (strings(programs)?, strings(argv)?, strings(env)?);
    let identity = match &user {
        Some((uid, gid, groups)) => Some(Identity { uid: *uid, gid: *gid, groups }),
        None if visitor.as_user => return Err(gone(Errno::ESRCH)),
        None => None,
    };
    let guest = Guest { programs: &programs, argv: &argv, env: &env, identity };
    match around.visit(&alone, &guest).map_err(|errno| because(format!("make a process in its pid namespace: {errno}")))? {
        Visit::Exited(status) => Ok(status as u8),
        Visit::Killed(signal) => Ok(128u8.saturating_add(signal as u8)),
        Visit::HostEnded => {
            eprintln!("liege: {name} ended, and everything in it");
            Ok(137)
        }
        Visit::NotExecuted(errno) => {
            eprintln!("liege: {name}: execute {}: {errno}", visitor.command.first().map_or("a shell", String::as_str));
            Ok(if errno == Errno::ENOENT { 127 } else { 126 })
        }
        Visit::NotJoined(stage, errno) => Err(because(format!(
            "{}: {errno}",
            match stage {
                JoinStage::Group => "join its control groups",
                JoinStage::Namespaces => "join its namespaces",
                JoinStage::Root => "enter its root",
                JoinStage::Identity => "become its user",
            }
        ))),
    }
}

/// The pid of its init, and that of its app inside.
fn running(client: &Client, name: &str) -> Result<(i32, Option<i32>), Refusal> {
    let view = client.vassals(&[name.to_owned()], false)?;
    match view.vassals.first() {
        Some(VassalView { pid: Some(pid), app_pid, .. }) => Ok((*pid, *app_pid)),
        Some(vassal) => {
            let state = words::state(vassal, view.now);
            let last = vassal.last_cause.as_deref().and_then(|cause| cause.lines().next());
            let last = last.map_or_else(String::new, |cause| format!("; last: {cause}"));
            Err(Refusal::Because(format!("{name} does not run: it is {state}{last}")))
        }
        None => Err(Refusal::Because(format!("{name} does not run: its file was never usable"))),
    }
}

/// The child of init that is this number in its own pid namespace.
fn child_called(init: i32, inside: i32) -> Option<i32> {
    descendants::children_of(init).into_iter().find(|child| {
        let numbers = status_field(*child, "NSpid:").unwrap_or_default();
        numbers.split_whitespace().last() == Some(&inside.to_string())
    })
}

fn status_field(pid: i32, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix(name)).map(|rest| rest.trim().to_owned())
}

/// Effective uid and gid, and all groups, as they are now: a uwsgi drops by itself.
fn user_of(pid: i32) -> Option<(u32, u32, Vec<u32>)> {
    let effective = |name: &str| status_field(pid, name)?.split_whitespace().nth(1)?.parse().ok();
    let groups = status_field(pid, "Groups:")?.split_whitespace().filter_map(|group| group.parse().ok()).collect();
    Some((effective("Uid:")?, effective("Gid:")?, groups))
}

/// The app's, without what names fds of its own; or a fresh one. The terminal's kind is the visitor's.
fn environment(pid: i32, visitor: &Visitor) -> Vec<Vec<u8>> {
    let app = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let named = |pair: &[u8], name: &str| pair.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"="));
    let foreign = ["UWSGI_EMPEROR_FD", "UWSGI_EMPEROR_FD_CONFIG", "LISTEN_FDS", "LISTEN_PID", "TERM"];
    let mut env: Vec<Vec<u8>> = app
        .split(|byte| *byte == 0)
        .filter(|pair| !visitor.clean && pair.contains(&b'=') && !foreign.iter().any(|name| named(pair, name)))
        .map(<[u8]>::to_vec)
        .collect();
    if !env.iter().any(|pair| named(pair, "PATH")) {
        env.push(format!("PATH={PATH}").into_bytes());
    }
    if let Some(term) = std::env::var_os("TERM") {
        env.push([b"TERM=", std::os::unix::ffi::OsStrExt::as_bytes(term.as_os_str())].concat());
    }
    env
}

/// Where the program may be in there, and its arguments.
fn program(command: &[String], env: &[Vec<u8>]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let bytes = |text: &str| text.as_bytes().to_vec();
    let Some(first) = command.first() else {
        return (SHELLS.iter().map(|shell| bytes(shell)).collect(), vec![bytes("sh")]);
    };
    let argv = command.iter().map(|word| bytes(word)).collect();
    if first.contains('/') {
        return (vec![bytes(first)], argv);
    }
    let path = env.iter().find_map(|pair| pair.strip_prefix(b"PATH=")).unwrap_or(PATH.as_bytes());
    let places = path.split(|byte| *byte == b':').filter(|place| !place.is_empty());
    (places.map(|place| [place, b"/", first.as_bytes()].concat()).collect(), argv)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(of: &[Vec<u8>]) -> Vec<String> {
        of.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
    }

    #[test]
    fn a_program_is_looked_for_where_the_app_would() {
        let env = [b"PATH=/a::/b".to_vec()];
        let (programs, argv) = program(&["ls".into(), "-l".into()], &env);
        assert_eq!((text(&programs), text(&argv)), (vec!["/a/ls".into(), "/b/ls".into()], vec!["ls".into(), "-l".into()]));
        assert_eq!(text(&program(&["./x".into()], &env).0), ["./x"]);
        assert_eq!(text(&program(&[], &env).0), SHELLS);
    }

    #[test]
    fn of_the_environment_only_what_means_something_elsewhere() {
        let own = i32::try_from(std::process::id()).unwrap();
        let clean = text(&environment(own, &Visitor { clean: true, ..Visitor::default() }));
        assert!(clean[0].starts_with("PATH=/usr/local/sbin") && clean.len() <= 2, "{clean:?}");
        let apps = text(&environment(own, &Visitor::default()));
        assert!(apps.iter().any(|pair| pair.starts_with("CARGO_MANIFEST_DIR=")), "the test's own");
    }

    #[test]
    fn the_groups_of_a_process_are_those_it_has_now() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(user_of(own).map(|(uid, gid, _)| (uid, gid)), Some((0, 0)));
        assert_eq!(user_of(i32::MAX), None);
    }
}
