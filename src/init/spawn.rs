//! From the plan's words for a program to what the kernel room launches.

use std::{
    ffi::CString,
    os::{
        fd::{BorrowedFd, RawFd},
        unix::fs::PermissionsExt,
    },
};

use liege_plan::{App, AppLimits, Identity, Lasting, Limit, Place, Program, fork};
use liege_sys::{
    Errno, Strings, identity,
    limits::{Bound, Kind},
    process::{self, Launch, LaunchStage, Report},
    programs::candidates,
};

use crate::{env::Env, save::Saving};

/// uwsgi's emperor sockets in the child: the first numbers after its standard ones.
pub(crate) const UWSGI_FDS: [RawFd; 2] = [3, 4];

/// Everything a start of the app depends on. Two that are equal start the same process.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Recipe {
    name: String,
    programs: Strings,
    argv: Strings,
    env: Strings,
    nofile: (u64, u64),
    bounds: Vec<Bound>,
    identity: Option<Identity>,
    caps: Option<u64>,
    chdir: Option<CString>,
    umask: Option<u32>,
    no_new_privs: bool,
    /// Of a uwsgi: what its process keeps.
    lasting: Option<Lasting>,
}

impl Recipe {
    /// Whether the process that was started like this can be told of the new plan, instead of being replaced. A uwsgi reads
    /// its environment lines itself when it reloads; every other program has what it was executed with.
    pub(crate) fn serves(&self, new: &Self) -> bool {
        match (&self.lasting, &new.lasting) {
            (Some(lasting), Some(new_lasting)) => {
                lasting.can_become(new_lasting)
                    && (&self.name, &self.argv, self.no_new_privs) == (&new.name, &new.argv, new.no_new_privs)
            }
            _ => self == new,
        }
    }
}

/// A zero byte in a word: nothing the kernel could be told.
const ZERO_BYTE: &str = "a zero byte in a word of the command, the environment or the directory";

impl Recipe {
    /// Lays out how this app is started with this environment.
    pub(crate) fn of(app: &App, env: &Env) -> Result<Self, &'static str> {
        let nofile = env.nofile;
        let mut env = env.of(app.identity.as_ref());
        app.unenv.iter().for_each(|name| env.remove(name));
        app.env.iter().for_each(|(name, value)| env.set(&format!("{name}={value}")));
        let (name, argv) = match &app.program {
            Program::Command(words) => (words.first().cloned().unwrap_or_default(), words.clone()),
            Program::Shell(command) => ("/bin/sh".into(), vec!["/bin/sh".into(), "-c".into(), command.clone()]),
            Program::Uwsgi(uwsgi) => {
                env.set(&format!("UWSGI_EMPEROR_FD={}", UWSGI_FDS[0]));
                env.set(&format!("UWSGI_EMPEROR_FD_CONFIG={}", UWSGI_FDS[1]));
                (uwsgi.binary.clone(), vec![uwsgi.binary.clone(), "--ini".into(), format!("emperor://{}", uwsgi.name)])
            }
        };
        let lay_out = || {
            Ok::<_, std::ffi::NulError>(Self {
                programs: Strings::new(candidates(&name, env.get("PATH")))?,
                argv: Strings::new(argv)?,
                env: env.strings()?,
                chdir: app.chdir.clone().map(CString::new).transpose()?,
                nofile,
                bounds: bounds(&app.limits),
                identity: app.identity.clone(),
                caps: app.caps,
                umask: app.umask,
                no_new_privs: app.no_new_privs,
                lasting: match &app.program {
                    Program::Uwsgi(uwsgi) => Some(uwsgi.lasting.clone()),
                    Program::Command(_) | Program::Shell(_) => None,
                },
                name,
            })
        };
        lay_out().map_err(|_| ZERO_BYTE)
    }

    /// Starts it, with these fds beside the standard ones, its output going there.
    pub(crate) fn launch(&self, fds: &[(BorrowedFd<'_>, RawFd)], output: Option<BorrowedFd<'_>>) -> Result<(i32, Report), Errno> {
        process::launch(&Launch {
            programs: &self.programs,
            argv: &self.argv,
            env: &self.env,
            fds,
            output,
            nofile: self.nofile,
            bounds: &self.bounds,
            identity: self.identity.as_ref().map(borrowed),
            caps: self.caps,
            chdir: self.chdir.as_deref(),
            umask: self.umask,
            no_new_privs: self.no_new_privs,
        })
    }

    /// What a failed start means: the place and a phrase.
    pub(crate) fn explain(&self, stage: LaunchStage, errno: Errno) -> (Place, String) {
        match stage {
            LaunchStage::Setup => (Place::Init, "prepare the app's process".into()),
            LaunchStage::Bound(index) => {
                self.bounds.get(index).map_or((Place::Init, String::new()), |bound| explain_bound(*bound, errno))
            }
            LaunchStage::Caps => {
                (Place::AppCaps, "init does not have them itself (emperor-cap, or the daemon's own bounds)".into())
            }
            LaunchStage::Identity => {
                let (uid, gid) = self.identity.as_ref().map_or((0, 0), |i| (i.uid, i.gid));
                (Place::AppIdentity, format!("become uid {uid} gid {gid}"))
            }
            LaunchStage::Chdir => {
                let directory = self.chdir.as_ref().map_or_else(String::new, |c| c.to_string_lossy().into_owned());
                (Place::AppChdir, directory)
            }
            LaunchStage::Exec => (Place::AppExec, self.explain_exec(errno)),
        }
    }

    fn explain_exec(&self, errno: Errno) -> String {
        let there =
            self.programs.as_slice().iter().map(|p| p.to_string_lossy()).find(|p| std::fs::exists(p.as_ref()).unwrap_or(false));
        match (errno, there) {
            (Errno::ENOENT, Some(path)) => {
                format!("{path} is there, but its interpreter or loader is missing in the vassal's root")
            }
            // EACCES: a directory of the PATH is closed to the app, which tells nothing of the program.
            (Errno::ENOENT | Errno::EACCES, None) if !self.name.contains('/') => {
                let more = if self.lasting.is_some() { "; set binary-path or command" } else { "" };
                format!("no {} in the PATH of the vassal's root ({}){more}", self.name, self.searched())
            }
            (Errno::ENOENT, None) => format!("no {} in the vassal's root", self.name),
            (Errno::EACCES, Some(path)) if !is_executable(&path) => format!("{path} is not executable (chmod +x it)"),
            (Errno::EACCES, _) => format!("{} may not be executed by this identity", self.name),
            (Errno::EAGAIN, _) => "its user has as many processes as it may have (limit-nproc)".into(),
            (Errno::ENOMEM, _) => format!("{} needs more memory than it may have (limit-as)", self.name),
            (Errno::ENOEXEC, _) => format!("{} is no program of this machine (a script needs a #! line)", self.name),
            _ => self.name.clone(),
        }
    }
}

impl Recipe {
    /// The directories where its program was looked for, as in PATH.
    fn searched(&self) -> String {
        let directories = self.programs.as_slice().iter().map(|path| path.to_string_lossy().into_owned());
        let directories = directories.map(|path| path.rsplit_once('/').map_or_else(String::new, |(front, _)| front.to_owned()));
        directories.collect::<Vec<_>>().join(":")
    }
}

/// Whether any identity may execute it, as far as its own mode tells.
fn is_executable(path: &str) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o111 != 0)
}

/// `/bin/sh -c` for a hook. The error: errno and a phrase.
pub(crate) fn shell(
    command: &str,
    env: &Env,
    identity: Option<&Identity>,
    output: Option<BorrowedFd<'_>>,
    saving: &mut Saving,
) -> Result<(i32, Report), (i32, String)> {
    let strings = || {
        Ok::<_, std::ffi::NulError>((
            Strings::new(["/bin/sh"])?,
            Strings::new(["/bin/sh", "-c", command])?,
            env.of(identity).strings()?,
        ))
    };
    let nofile = env.nofile;
    let (programs, argv, env) = strings().map_err(|_| (0, ZERO_BYTE.to_owned()))?;
    let launch = Launch {
        programs: &programs,
        argv: &argv,
        env: &env,
        fds: &[],
        output,
        nofile,
        bounds: &[],
        identity: identity.map(borrowed),
        caps: None,
        chdir: None,
        umask: None,
        no_new_privs: false,
    };
    saving.start(|| process::launch(&launch)).map_err(|errno| (errno as i32, fork::FOR_STEP.into()))
}

/// Why a hook's shell did not even start.
pub(crate) fn shell_failure(stage: LaunchStage) -> &'static str {
    match stage {
        LaunchStage::Setup | LaunchStage::Bound(_) | LaunchStage::Caps => "prepare the hook's process",
        LaunchStage::Identity => "take the vassal's identity",
        LaunchStage::Chdir => "enter the directory",
        LaunchStage::Exec => "execute /bin/sh: is there one in the vassal's root?",
    }
}

/// The bounds in the order in which they are set. The number of files last: what it closes to us, the others may have needed.
fn bounds(limits: &AppLimits) -> Vec<Bound> {
    let AppLimits { address_space, processes, files, nice } = *limits;
    let resource = |kind: Kind, limit: Option<u64>| limit.map(|limit| Bound::Resource(kind, limit));
    let all = [
        nice.map(Bound::Nice),
        resource(Kind::AddressSpace, address_space),
        resource(Kind::Processes, processes),
        resource(Kind::Files, files),
    ];
    all.into_iter().flatten().collect()
}

/// Which bound it was, and what the kernel wants for it.
fn explain_bound(bound: Bound, errno: Errno) -> (Place, String) {
    let limit = match bound {
        Bound::Nice(_) => Limit::Nice,
        Bound::Resource(Kind::AddressSpace, _) => Limit::AddressSpace,
        Bound::Resource(Kind::Processes, _) => Limit::Processes,
        Bound::Resource(Kind::Files, _) => Limit::Files,
    };
    let why = match (bound, errno) {
        (Bound::Nice(value), Errno::EACCES | Errno::EPERM) => format!("{value} is better than the daemon's own (CAP_SYS_NICE)"),
        (Bound::Resource(_, limit), Errno::EPERM) => format!("{limit} is above the daemon's own hard limit (CAP_SYS_RESOURCE)"),
        _ => String::new(),
    };
    (Place::AppLimit(limit), why)
}

/// In a forked child: takes the identity, if there is one.
pub(crate) fn take(identity: Option<&Identity>) -> Result<(), Errno> {
    identity.map_or(Ok(()), |identity| identity::take(&borrowed(identity)))
}

fn borrowed(identity: &Identity) -> identity::Identity<'_> {
    identity::Identity { uid: identity.uid, gid: identity.gid, groups: &identity.groups }
}
