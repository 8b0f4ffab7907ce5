//! A host of one vassal: it clones the real `liege-init` into real namespaces and listens. Whatever a test leaves
//! behind dies with its `Vassal`.
#![allow(dead_code, unreachable_pub, reason = "each story uses its part")]

use std::{
    fs::File,
    io::{ErrorKind, Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

use liege_plan::{
    Act, App, AppLimits, Base, Exit, FrameReader, FromInit, Identity, Limits, Phase, Plan, Program, Reload, Step, ToInit, encode,
};
use liege_sys::{
    Strings,
    clone::{Birth, Child, Namespaces, spawn},
    limits, pidfd,
    wait::{self, Ended},
};

/// Long enough for a busy machine; nothing waits so long unless it fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A user that owns nothing here.
pub const NOBODY: u32 = 54_321;

pub struct Vassal {
    pub child: Child,
    channel: Option<UnixStream>,
    reader: FrameReader,
    output: UnixStream,
    reaped: bool,
}

/// A plan with namespaces of its own, nothing else.
pub fn plan(app: App) -> Plan {
    Plan {
        version: liege_plan::VERSION,
        vassal: "test.ini".into(),
        steps: vec![Step::root(Phase::Birth, Act::CutPropagation), Step::root(Phase::Birth, Act::MountProc)],
        identity: Some(nobody()),
        directory: Some("/".into()),
        base: Base::default(),
        app,
        again: Vec::new(),
        at_exit: Vec::new(),
        at_exit_timeout_ms: 5_000,
        limits: Limits { nofile: limits::nofile().unwrap(), oom_score_adj: limits::oom_score_adj().unwrap(), umask: 0o022 },
        log: None,
        own_pid_namespace: true,
        own_mounts: true,
    }
}

pub fn nobody() -> Identity {
    Identity { uid: NOBODY, gid: NOBODY, groups: vec![NOBODY] }
}

pub fn app(program: Program) -> App {
    App {
        program,
        identity: None,
        found_identity: false,
        caps: None,
        limits: AppLimits::default(),
        chdir: None,
        env: Vec::new(),
        unenv: Vec::new(),
        umask: None,
        no_new_privs: false,
        stop_signal: 15,
        reload_signal: None,
        stop_timeout_ms: 5_000,
        daemons: Vec::new(),
        smart_daemons: Vec::new(),
    }
}

pub fn command(words: &[&str]) -> App {
    app(Program::Command(words.iter().map(|&w| w.to_owned()).collect()))
}

pub fn shell(script: &str) -> App {
    app(Program::Shell(script.into()))
}

/// An app that does nothing until it is told to end.
pub fn idle() -> App {
    command(&["sleep", "infinity"])
}

pub fn exec(command: &str) -> Step {
    Step::root(Phase::AsRoot, Act::Exec(command.into()))
}

pub fn exec_as_user(command: &str) -> Step {
    Step { as_user: true, ..exec(command) }
}

pub const OWN: Namespaces = Namespaces { mount: true, pid: true, ipc: false, uts: false, net: false, cgroup: false, user: false };

impl Vassal {
    /// Clones init into namespaces of its own and gives no light yet.
    pub fn unlit(namespaces: Namespaces) -> Self {
        Self::unlit_with(namespaces, &[])
    }

    pub fn unlit_with(namespaces: Namespaces, env: &[&str]) -> Self {
        Self::born(namespaces, env, None)
    }

    /// Starts one whose log is in this directory.
    pub fn start_with_log(plan: Plan, directory: &std::path::Path) -> Self {
        let place = liege_sys::detached::tree(directory).unwrap();
        let namespaces = Namespaces { pid: plan.own_pid_namespace, ..OWN };
        let mut vassal = Self::born(namespaces, &[], Some(&place));
        vassal.tell(&ToInit::Walk(Box::new(plan)));
        vassal
    }

    fn born(namespaces: Namespaces, env: &[&str], log: Option<&OwnedFd>) -> Self {
        let program = File::open(env!("CARGO_BIN_EXE_liege-init")).unwrap();
        let null = File::open("/dev/null").unwrap();
        let (channel, theirs) = UnixStream::pair().unwrap();
        let (output, their_output) = UnixStream::pair().unwrap();
        channel.set_read_timeout(Some(PATIENCE)).unwrap();
        output.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut fds = vec![(null.as_fd(), 0), (their_output.as_fd(), 1), (their_output.as_fd(), 2), (theirs.as_fd(), 3)];
        fds.extend(log.map(|log| (log.as_fd(), 4)));
        let child = spawn(&Birth {
            namespaces,
            cgroup: None,
            program: program.as_fd(),
            argv: &Strings::new(["liege-init", "test.ini"]).unwrap(),
            env: &Strings::new(["PATH=/usr/bin:/bin:/usr/sbin:/sbin"].iter().chain(env).copied()).unwrap(),
            fds: &fds,
        })
        .unwrap();
        Self { child, channel: Some(channel), reader: FrameReader::default(), output, reaped: false }
    }

    /// Clones init and lets it walk.
    pub fn start(plan: Plan) -> Self {
        let namespaces = Namespaces { pid: plan.own_pid_namespace, ..OWN };
        let mut vassal = Self::unlit(namespaces);
        vassal.tell(&ToInit::Walk(Box::new(plan)));
        vassal
    }

    pub fn tell(&mut self, message: &ToInit) {
        self.raw(&encode(message).unwrap());
    }

    pub fn reload(&mut self, steps: Vec<Step>, app: App) {
        self.tell(&ToInit::Reload(Box::new(Reload {
            steps,
            base: Base::default(),
            app,
            at_exit: Vec::new(),
            at_exit_timeout_ms: 1000,
            log: None,
        })));
    }

    pub fn raw(&mut self, bytes: &[u8]) {
        self.channel.as_mut().unwrap().write_all(bytes).unwrap();
    }

    /// The host goes away without a word.
    pub fn hang_up(&mut self) {
        self.channel = None;
    }

    /// The next thing init says. None: it is gone.
    pub fn hears(&mut self) -> Option<FromInit> {
        let mut bytes = [0; 4096];
        loop {
            if let Some(message) = self.reader.next().unwrap() {
                return Some(message);
            }
            match self.channel.as_mut().unwrap().read(&mut bytes) {
                Ok(0) => return None,
                Ok(n) => self.reader.push(&bytes[..n]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {} // a child of another test has ended
                Err(error) => panic!("init says nothing: {error}"),
            }
        }
    }

    /// Skips what init says until this comes.
    pub fn hears_until<T>(&mut self, mut wanted: impl FnMut(&FromInit) -> Option<T>) -> T {
        let mut others = Vec::new();
        loop {
            match self.hears() {
                Some(message) => match wanted(&message) {
                    Some(found) => return found,
                    None => others.push(message),
                },
                None => panic!("init left without saying it; it said {others:?} and printed {:?}", self.printed()),
            }
        }
    }

    pub fn started(&mut self) -> i32 {
        self.hears_until(|m| match m {
            FromInit::Started { pid } => Some(*pid),
            _ => None,
        })
    }

    pub fn failed(&mut self) -> FromInit {
        self.hears_until(|m| matches!(m, FromInit::Failed { .. }).then(|| m.clone()))
    }

    pub fn app_exited(&mut self) -> Exit {
        self.hears_until(|m| match m {
            FromInit::AppExited { exit, .. } => Some(*exit),
            _ => None,
        })
    }

    pub fn orphan_died(&mut self) -> (i32, Exit) {
        self.hears_until(|m| match m {
            FromInit::OrphanDied { pid, exit, .. } => Some((*pid, *exit)),
            _ => None,
        })
    }

    /// Hears until so many orphans have died: how many they were, and in how many words.
    pub fn orphans_died(&mut self, count: u32) -> (u32, u32) {
        let (mut told, mut words) = (0, 0);
        while told < count {
            told += self.hears_until(|m| match m {
                FromInit::OrphanDied { .. } => Some(1),
                FromInit::OrphansDied { count } => Some(*count),
                _ => None,
            });
            words += 1;
        }
        (told, words)
    }

    /// The next line of the vassal's output.
    pub fn line(&mut self) -> String {
        let mut line = Vec::new();
        let mut byte = [0];
        while self.output.read(&mut byte).expect("the vassal prints nothing") == 1 && byte[0] != b'\n' {
            line.push(byte[0]);
        }
        String::from_utf8(line).unwrap()
    }

    /// All that is left of the output, after the vassal's end.
    pub fn printed(&mut self) -> String {
        let mut text = String::new();
        self.output.read_to_string(&mut text).unwrap();
        text
    }

    /// Waits for init's end.
    pub fn ends(&mut self) -> Ended {
        self.reaped = true;
        wait::reap_blocking(self.child.pid).unwrap()
    }

    pub fn kill(&self) {
        let _ = pidfd::signal(&self.child.pidfd, 9);
    }
}

impl Drop for Vassal {
    fn drop(&mut self) {
        if !self.reaped {
            for pid in liege_sys::descendants::tree(&[self.child.pid]) {
                let _ = liege_sys::descendants::kill(pid, 9);
            }
            self.kill();
            wait::reap_blocking(self.child.pid);
        }
    }
}

/// A directory that goes away with its test.
pub struct Dir(pub std::path::PathBuf);

impl Dir {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("liege-init-{}-{name}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Waits until this pid of ours has ended; it need not be our child.
pub fn until_gone(pid: i32) {
    if let Ok(fd) = pidfd::open(pid) {
        let interest = liege_sys::poll::Interest::readable(fd.as_fd());
        assert_eq!(liege_sys::poll::poll(&[interest], Some(PATIENCE)).unwrap(), [true], "pid {pid} lives on");
    }
}

/// Owned fds of a pair, for tests of their own plumbing.
pub fn pair() -> (OwnedFd, OwnedFd) {
    let (a, b) = UnixStream::pair().unwrap();
    (a.into(), b.into())
}
