//! `liege enter`: a shell or a command beside the app of a vassal.
//!
//! Who the vassal is the daemon knows: the pid of its init, and of its app inside. A pid may be somebody else's a moment later, so
//! the pidfd comes first and the daemon is asked once more: it reaps its own children, so a pid it still names was not reused.
//! Namespaces, root and bounds are those of init: an app may have made namespaces of its own, with another root in them.
//!
//! What is executed in there is what lies there, in a root of a customer's. So a visitor is the app's user, with its environment and
//! directory; root only if asked for, and then nothing follows the app. Who the app's user is the daemon says, by the vassal's file: the app may
//! execute a setuid program and be anybody. Then a visitor takes nothing else of it. The program that goes in is a sealed copy of ours, and has none of
//! the caller's files open.

use std::{
    fmt, fs,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use liege_core::{UserView, VassalView};
use liege_sys::{
    Errno, Strings, attempt, descendants,
    identity::Identity,
    join::{Guest, JoinStage, Surroundings, Visit, directory_of},
    pidfd,
    process::{self, OneThread},
    programs::{PATH, candidates},
    sealed,
    status::field,
};

use crate::{Client, Failure, words};

/// How a visit is made.
#[derive(Clone, Debug, Default)]
pub struct Visitor {
    /// Program and arguments; a shell where there are none.
    pub command: Vec<String>,
    /// As root instead of the app's user.
    pub as_root: bool,
    /// With a fresh environment all the same, as root always has it.
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
    sealed::run_sealed(&alone).map_err(|why| because(format!("go on as a sealed copy of this program: {why}")))?;
    process::keep_to_itself();
    let client = Client::new(control);
    let gone = |_: Errno| because("it ended just now".to_owned());
    let init = running(&client, name)?.init;
    let held = pidfd::open(init).map_err(gone)?;
    let running = running(&client, name)?;
    if running.init != init {
        return Err(because("it was started anew just now: try again".to_owned()));
    }
    if !fs::read_to_string(format!("/proc/{init}/comm")).is_ok_and(|comm| comm.trim() == "liege-init") {
        return Err(because(format!("pid {init} is no liege-init here: is the daemon in another pid namespace?")));
    }
    let around = Surroundings::of(held, init).map_err(|errno| match errno {
        Errno::ESRCH | Errno::ENOENT => gone(errno),
        _ => because(format!("look at its namespaces: {errno}")),
    })?;
    let app = match (visitor.as_root, running.app) {
        (true, _) => None,
        (false, None) => return Err(because("its app does not run, so it has no user yet (--root enters as root)".to_owned())),
        (false, Some(inside)) => Some(App::called(init, inside, &running.user).map_err(|why| because(why.to_owned()))?),
    };
    if app.as_ref().is_some_and(|app| app.own.is_none()) {
        eprintln!("liege: {name}: its app does not run as the user of its file just now: a fresh environment, at /");
    }
    if visitor.as_root && around.has_another_root().unwrap_or(true) {
        eprintln!("liege: {name}: {}", what_root_means(&around));
    }
    // Whatever an app says is for nobody but its user.
    let told = app.as_ref().filter(|app| app.user.uid != 0).and_then(|app| app.own.as_ref());
    let env = environment(told.filter(|_| !visitor.clean).map(|own| &*own.env));
    let (programs, argv) = program(&visitor.command, &env);
    let strings = |of: Vec<Vec<u8>>| Strings::new(of).map_err(|_| because("a zero byte in the command".to_owned()));
    let (programs, argv, env) = (strings(programs)?, strings(argv)?, strings(env)?);
    let identity = app.as_ref().map(|App { user, .. }| Identity { uid: user.uid, gid: user.gid, groups: &user.groups });
    let identity = identity.unwrap_or(Identity { uid: 0, gid: 0, groups: &[] });
    let bound = app.as_ref().map_or(u64::MAX, |app| app.bound);
    let no_new_privs = app.as_ref().is_some_and(|app| app.no_new_privs);
    let directory = told.map(|own| own.directory.as_fd());
    let guest = Guest { programs: &programs, argv: &argv, env: &env, identity, bound, no_new_privs, directory };
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
                JoinStage::Capabilities => "give up the capabilities it does not have",
                JoinStage::Terminal => "give it a terminal of its own",
            }
        ))),
    }
}

/// What who asks for root should know.
fn what_root_means(around: &Surroundings) -> &'static str {
    if around.has_another_user_namespace() {
        "as root of its user namespace: what is executed is what its root file system holds, and owns what root owns"
    } else {
        "as root of this machine: what is executed is what its root file system holds, whoever put it there"
    }
}

/// A vassal as the daemon has it.
struct Running {
    /// The pid of its init.
    init: i32,
    /// The pid of its app, inside.
    app: Option<i32>,
    user: StartedAs,
}

/// As whom its app was started.
enum StartedAs {
    /// Its file says root, or no user. What an app makes of itself then is less.
    Root,
    User(User),
    /// A name of the vassal's own root, whose number nobody has told.
    Unknown,
}

fn running(client: &Client, name: &str) -> Result<Running, Refusal> {
    let view = client.vassals(&[name.to_owned()], false)?;
    match view.vassals.first() {
        Some(VassalView { pid: Some(init), app_pid, runs_as_root, user, .. }) => {
            let user = match user {
                _ if *runs_as_root => StartedAs::Root,
                Some(UserView { uid, gid, groups }) => StartedAs::User(User { uid: *uid, gid: *gid, groups: groups.clone() }),
                None => StartedAs::Unknown,
            };
            Ok(Running { init: *init, app: *app_pid, user })
        }
        Some(vassal) => {
            let state = words::state(vassal, view.now);
            let last = words::last(vassal, view.now);
            let last = last.map_or_else(String::new, |last| format!("; last: {}", words::shown(&last)));
            Err(Refusal::Because(format!("{name} does not run: it is {state}{last}")))
        }
        None => Err(Refusal::Because(format!("{name} does not run: its file was never usable"))),
    }
}

/// What is taken from an app, for a visit as its user.
struct App {
    user: User,
    /// The capabilities it can get at most.
    bound: u64,
    no_new_privs: bool,
    /// None: it is another user just now, so these are that one's.
    own: Option<Own>,
}

/// What an app shows its user.
struct Own {
    env: Vec<u8>,
    directory: OwnedFd,
}

/// Uid, gid and all groups.
#[derive(Clone, Debug, PartialEq, Eq)]
struct User {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
}

impl App {
    /// The child of init that is this number in init's pid namespace.
    fn called(init: i32, inside: i32, started_as: &StartedAs) -> Result<Self, &'static str> {
        const GONE: &str = "its app ended just now: try again";
        let pid = child_called(init, inside).ok_or(GONE)?;
        let held = pidfd::open(pid).map_err(|_| GONE)?;
        // It is init's child still, and inside still that number: so the fd is its.
        if child_called(init, inside) != Some(pid) {
            return Err(GONE);
        }
        let before = user_of(pid);
        let directory = directory_of(&held, pid).map_err(|_| GONE)?;
        let own = Own { env: fs::read(format!("/proc/{pid}/environ")).unwrap_or_default(), directory };
        // It was the same user all the time while its own was taken.
        let (user, is_it) = chosen(started_as, user_of(pid).filter(|now| before.as_ref() == Some(now)))?;
        let bound = bound_of(pid, &user).ok_or(GONE)?;
        let no_new_privs = field(pid, "NoNewPrivs").ok_or(GONE)? != "0";
        Ok(Self { user, bound, no_new_privs, own: Some(own).filter(|_| is_it) })
    }
}

/// As whom a visitor enters, and whether the app is that user `now`.
fn chosen(started_as: &StartedAs, now: Option<User>) -> Result<(User, bool), &'static str> {
    match (started_as, now) {
        (StartedAs::User(user), now) => {
            let is_it = now.is_some_and(|now| (now.uid, now.gid) == (user.uid, user.gid));
            Ok((user.clone(), is_it))
        }
        (StartedAs::Root, Some(now)) => Ok((now, true)),
        (StartedAs::Root, None) => Err("its app is between two users (it executes a setuid program?): try again"),
        (StartedAs::Unknown, _) => Err("the daemon does not know its user (--root enters as root)"),
    }
}

fn child_called(init: i32, inside: i32) -> Option<i32> {
    // An app may make namespaces of its own, and in them be whatever number it likes.
    let depth = field(init, "NSpid")?.split_whitespace().count();
    descendants::children_of(init).into_iter().find(|child| {
        let numbers = field(*child, "NSpid").unwrap_or_default();
        numbers.split_whitespace().nth(depth - 1) == Some(&inside.to_string())
    })
}

/// Where root executes a program it gets its bounding set: of an app that is root and has less, no more than it has.
fn bound_of(pid: i32, user: &User) -> Option<u64> {
    let set = |name: &str| u64::from_str_radix(&field(pid, name)?, 16).ok();
    let has = if user.uid == 0 { set("CapPrm")? } else { u64::MAX };
    Some(set("CapBnd")? & has)
}

/// As they are now: a uwsgi drops by itself. None where real, effective and saved are not the same.
fn user_of(pid: i32) -> Option<User> {
    let one = |name: &str| {
        let ids: Option<Vec<u32>> = field(pid, name)?.split_whitespace().map(|id| id.parse().ok()).collect();
        let ids = ids?;
        ids.iter().all(|id| Some(id) == ids.first()).then(|| ids.first().copied()).flatten()
    };
    let groups = field(pid, "Groups")?.split_whitespace().filter_map(|group| group.parse().ok()).collect();
    Some(User { uid: one("Uid")?, gid: one("Gid")?, groups })
}

/// The app's, without what names fds of its own; or a fresh one. Terminal and language are the visitor's.
fn environment(app: Option<&[u8]>) -> Vec<Vec<u8>> {
    let named = |pair: &[u8], name: &str| pair.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"="));
    let foreign = ["UWSGI_EMPEROR_FD", "UWSGI_EMPEROR_FD_CONFIG", "LISTEN_FDS", "LISTEN_PID", "TERM"];
    let mut env: Vec<Vec<u8>> = app
        .unwrap_or_default()
        .split(|byte| *byte == 0)
        .filter(|pair| pair.contains(&b'=') && !foreign.iter().any(|name| named(pair, name)))
        .map(<[u8]>::to_vec)
        .collect();
    if !env.iter().any(|pair| named(pair, "PATH")) {
        env.push(format!("PATH={PATH}").into_bytes());
    }
    for name in ["TERM", "LANG"] {
        if let Some(value) = std::env::var_os(name).filter(|_| !env.iter().any(|pair| named(pair, name))) {
            env.push([name.as_bytes(), b"=", value.as_bytes()].concat());
        }
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
    (candidates(first, env.iter().find_map(|pair| pair.strip_prefix(b"PATH="))), argv)
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
        let clean = text(&environment(None));
        assert_eq!(clean[0], format!("PATH={PATH}"));
        assert!(clean[1..].iter().all(|pair| pair.starts_with("TERM=") || pair.starts_with("LANG=")), "{clean:?}");
        let apps = text(&environment(Some(b"COLOUR=green\0LISTEN_FDS=3\0nothing\0PATH=/own\0LANG=xx\0TERM=apps\0")));
        assert_eq!(apps[..3], ["COLOUR=green", "PATH=/own", "LANG=xx"], "{apps:?}");
        assert!(!apps.contains(&"TERM=apps".to_owned()));
    }

    #[test]
    fn a_visitor_is_whom_the_file_says_whatever_the_app_has_become() {
        let user = |uid| User { uid, gid: 7, groups: vec![8] };
        let started = StartedAs::User(user(5));
        assert_eq!(chosen(&started, Some(User { groups: vec![], ..user(5) })), Ok((user(5), true)));
        for now in [Some(user(0)), Some(user(6)), Some(User { gid: 0, ..user(5) }), None] {
            assert_eq!(chosen(&started, now), Ok((user(5), false)));
        }
        assert_eq!(chosen(&StartedAs::Root, Some(user(6))), Ok((user(6), true)), "it has dropped by itself");
        assert!(chosen(&StartedAs::Root, None).is_err() && chosen(&StartedAs::Unknown, Some(user(5))).is_err());
    }

    #[test]
    fn the_groups_of_a_process_are_those_it_has_now() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(user_of(own).map(|user| (user.uid, user.gid)), Some((0, 0)));
        assert_eq!(user_of(i32::MAX), None);
    }
}
