//! The world as a configuration may see it: files, commands, users, on this host and now.
//!
//! Everything here may block (a dead file system, a directory service), so it is called on threads that may, with a deadline
//! kept by the caller.

use std::{
    cell::Cell,
    collections::BTreeSet,
    fs::{self, File},
    io::Read,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use liege_plan::Exit;
use liege_spec::{AccountRecord, Kind, Lookup, NoAnswer, Writer};
use liege_sys::{
    Strings,
    clone::{Birth, BirthError, Child, Namespaces},
};
use nix::{
    errno::Errno,
    fcntl::OFlag,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::{Gid, Group, Uid, User, pipe2},
};

use crate::{
    children::Children,
    nss::Nss,
    regular::{open_regular, read_at_most},
    search::Search,
    whereabouts::Whereabouts,
};

/// No configuration is longer; `/dev/zero` would be.
const MAX_SOURCE: u64 = 1 << 20;

/// A reading, and a command of it, ends after so long: before the daemon calls it late.
const READING: Duration = Duration::from_secs(9);

/// One pattern leads past no more than so many names in directories.
const MOST_ENTRIES: u32 = 100_000;

/// Waits for the end of a child.
type AwaitEnd = Box<dyn FnOnce() -> Option<Exit>>;

/// The real [`Lookup`].
#[derive(Clone, Debug)]
pub struct World {
    directory: String,
    reaper: Option<Arc<Children>>,
    constant: Arc<OnceLock<Constant>>,
    /// When the reading under way is not wanted any more, and how long it may last.
    ends: Option<(Instant, Duration)>,
    /// What of the world is asked just now.
    whereabouts: Whereabouts,
    /// The version of the uwsgi that was found; asked for once, because it has to be run for it.
    uwsgi_version: Arc<OnceLock<String>>,
}

/// What does not change while the daemon lives, and takes many system calls to find out.
#[derive(Debug)]
struct Constant {
    identity: (u32, String, u32, String),
    processors: usize,
}

/// Whether a mount point is there, as the caller sees it.
#[must_use]
pub fn is_mount_point(path: &str) -> bool {
    liege_sys::mountinfo::own().is_ok_and(|mounts| mounts.iter().any(|mount| mount.mount_point == path))
}

impl World {
    /// For a program whose children nobody else reaps (`liege check`); relative paths start in the current directory.
    #[must_use]
    pub fn alone() -> Self {
        Self::alone_in(Path::new(""))
    }

    /// As [`Self::alone`], with relative paths starting in `directory`.
    #[must_use]
    pub fn alone_in(directory: &Path) -> Self {
        let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        let directory: PathBuf = cwd.join(directory).components().collect();
        Self {
            directory: directory.to_string_lossy().into_owned(),
            reaper: None,
            ends: None,
            whereabouts: Whereabouts::default(),
            constant: Arc::default(),
            uwsgi_version: Arc::default(),
        }
    }

    /// For the daemon, whose loop reaps. Relative paths start in `directory`.
    pub(crate) fn of_daemon(directory: String, children: Arc<Children>) -> Self {
        let world = Self { reaper: Some(children), directory, ..Self::alone() };
        // Now, while there are descriptors for it: what is found is kept.
        world.constant();
        world
    }

    /// The same world for one reading, which ends after 9 s wherever it stands (but for what the kernel does not give back).
    #[must_use]
    pub fn for_reading(&self) -> Self {
        self.for_reading_at(&Whereabouts::default())
    }

    /// As [`Self::for_reading`], where somebody waits who wants to know what does not answer.
    pub(crate) fn for_reading_at(&self, at: &Whereabouts) -> Self {
        Self { ends: Some((Instant::now() + READING, READING)), whereabouts: at.clone(), ..self.clone() }
    }

    fn constant(&self) -> &Constant {
        self.constant.get_or_init(|| {
            let (uid, gid) = (Uid::current(), Gid::current());
            let user = User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |u| u.name);
            let group = Group::from_gid(gid).ok().flatten().map_or_else(|| gid.to_string(), |g| g.name);
            Constant {
                identity: (uid.as_raw(), user, gid.as_raw(), group),
                processors: std::thread::available_parallelism().map_or(1, usize::from),
            }
        })
    }

    fn at(&self, path: &str) -> PathBuf {
        Path::new(&self.directory).join(path)
    }

    /// Standard output of `/bin/sh -c COMMAND`; an exit status other than 0 is a failure, as in uWSGI.
    fn output_of(&self, command: &str) -> Result<Vec<u8>, NoAnswer> {
        match self.run(command)? {
            (Exit::Code(0), output) => Ok(output),
            (exit, _) => Err(NoAnswer::Failed(failure(command, exit))),
        }
    }

    /// How `/bin/sh -c COMMAND` ended, and its standard output.
    pub(crate) fn run(&self, command: &str) -> Result<(Exit, Vec<u8>), NoAnswer> {
        let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(unanswered)?;
        let (shell, ended) = self.shell(command, write)?;
        let own = self.reaper.as_ref().map(|_| Instant::now() + READING);
        let deadline = own.into_iter().chain(self.ends.map(|(at, _)| at)).min();
        let output = read_until(File::from(read), deadline).and_then(|output| {
            // It may close its output and live on.
            until_ready(&shell.pidfd, deadline)?;
            Ok(output)
        });
        if output.is_err() {
            // What it started first: once it is dead, they are nobody's. It is not reaped yet, so its number is its own.
            liege_sys::descendants::kill_below(&[shell.pid]);
            liege_sys::pidfd::signal(&shell.pidfd, nix::libc::SIGKILL).ok();
        }
        let exit = ended();
        let output = output.map_err(|why| NoAnswer::Failed(format!("`{command}`: {why}")))?;
        Ok((exit.ok_or_else(|| NoAnswer::Failed(format!("`{command}`: its end was not seen")))?, output))
    }

    /// Starts a shell; gives it and the call that waits for its end.
    fn shell(&self, command: &str, stdout: OwnedFd) -> Result<(Child, AwaitEnd), NoAnswer> {
        let text = |e: &dyn std::fmt::Display| NoAnswer::Failed(format!("/bin/sh: {e}"));
        let born =
            |e: BirthError| lack(e.errno).map_or_else(|| text(&e), |lack| NoAnswer::Lacking(format!("{lack}: /bin/sh: {e}")));
        let shell = File::open("/bin/sh").map_err(|e| not_had(&e))?;
        let null = File::open("/dev/null").map_err(|e| not_had(&e))?;
        let stderr = std::io::stderr();
        let argv = Strings::new(["sh", "-c", command]).map_err(|e| text(&e))?;
        // As bytes: an environment need not be UTF-8.
        let env = std::env::vars_os().map(|(name, value)| crate::birthplace::pair(&name, &value));
        let env = Strings::new(env.chain([format!("PWD={}", self.directory).into_bytes()])).map_err(|e| text(&e))?;
        let birth = Birth {
            namespaces: Namespaces::default(),
            cgroup: None,
            program: shell.as_fd(),
            argv: &argv,
            env: &env,
            fds: &[(null.as_fd(), 0), (stdout.as_fd(), 1), (stderr.as_fd(), 2)],
        };
        match &self.reaper {
            Some(children) => {
                children.expect_orphans();
                let (child, ending) = children.spawn(&birth).map_err(born)?;
                Ok((child, Box::new(move || ending.blocking_recv().ok())))
            }
            None => {
                let child = liege_sys::clone::spawn(&birth).map_err(born)?;
                let pid = child.pid;
                Ok((child, Box::new(move || liege_sys::wait::reap_blocking(pid).map(crate::children::exit_of))))
            }
        }
    }
}

/// Reads a pipe to its end; without a deadline for as long as it takes.
fn read_until(mut pipe: File, deadline: Option<Instant>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 << 10];
    loop {
        until_ready(&pipe, deadline)?;
        match pipe.read(&mut buffer).map_err(|e| phrase(&e))? {
            0 => return Ok(bytes),
            n => bytes.extend_from_slice(&buffer[..n]),
        }
        if bytes.len() as u64 > MAX_SOURCE {
            return Err(too_long());
        }
    }
}

/// Sleeps until the fd can be read: a pipe that has something or is closed, a pidfd whose process has ended.
fn until_ready(fd: &impl AsFd, deadline: Option<Instant>) -> Result<(), String> {
    loop {
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let wait = left.map_or(PollTimeout::NONE, |left| PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX));
        match poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], wait) {
            Ok(0) => return Err(format!("no end after {} s", READING.as_secs())),
            Err(Errno::EINTR) => {}
            Ok(_) | Err(_) => return Ok(()),
        }
    }
}

/// One word of a shell's line.
pub(crate) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Says how a command ended that should have ended with status 0.
pub(crate) fn failure(command: &str, exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("`{command}` exited with status {code}"),
        Exit::Signal(signal) => format!("`{command}` was killed by signal {signal}"),
    }
}

fn too_long() -> String {
    format!("longer than {} MiB", MAX_SOURCE >> 20)
}

/// An error without Rust's "(os error 2)".
pub(crate) fn phrase(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

impl Lookup for World {
    fn read(&self, source: &str, most: usize) -> Result<Vec<u8>, NoAnswer> {
        if let Some(command) = source.strip_prefix("exec://") {
            self.whereabouts.set(Path::new(source));
            let output = self.output_of(command)?;
            return if output.len() > most { Err(NoAnswer::TooMuch) } else { Ok(output) };
        }
        let path = match source.split_once("://") {
            Some(("file", path)) => path,
            Some((scheme, _)) => {
                let refused = format!("liege reads no configuration from {scheme}://, only from files and exec://");
                return Err(NoAnswer::Failed(refused));
            }
            None => source,
        };
        let failed = |e: std::io::Error| not_had(&e);
        let path = self.at(path);
        self.whereabouts.set(&path);
        let file = open_regular(&path).map_err(failed)?;
        let file = file.ok_or_else(|| NoAnswer::Failed("not a regular file".to_owned()))?;
        read_at_most(&file, most as u64).map_err(failed)?.ok_or(NoAnswer::TooMuch)
    }

    fn writers(&self, path: &str) -> Result<BTreeSet<Writer>, NoAnswer> {
        let path = self.at(path);
        self.whereabouts.set(&path);
        crate::writers::of(&path).map_err(|error| not_had(&error))
    }

    fn kind(&self, path: &str) -> Result<Option<Kind>, NoAnswer> {
        let path = self.at(path);
        self.whereabouts.set(&path);
        let Some(kind) = asked(fs::metadata(path).map_err(|error| errno(&error)), is_lack)? else { return Ok(None) };
        let kind = kind.file_type();
        Ok(Some(if kind.is_file() {
            Kind::File
        } else if kind.is_dir() {
            Kind::Directory
        } else {
            Kind::Other
        }))
    }

    fn glob(&self, pattern: &str, most: usize) -> Result<Vec<String>, NoAnswer> {
        let relative = !pattern.starts_with('/');
        self.whereabouts.set(&self.at(pattern));
        let entries = Cell::new(0);
        let step = || {
            entries.set(entries.get() + 1);
            if entries.get() > MOST_ENTRIES {
                return Err(NoAnswer::Cancelled(format!("{pattern} leads past more than {MOST_ENTRIES} directory entries")));
            }
            self.cancelled().map_or(Ok(()), |why| Err(NoAnswer::Cancelled(why)))
        };
        let found = Search::new(most, &step).all(&self.at(pattern))?;
        let found: Vec<String> = found
            .into_iter()
            .map(|path| match path.strip_prefix(&self.directory) {
                Ok(short) if relative => short.to_string_lossy().into_owned(),
                _ => path.to_string_lossy().into_owned(),
            })
            .collect();
        Ok(found)
    }

    fn cancelled(&self) -> Option<String> {
        let (at, lasts) = self.ends?;
        (Instant::now() >= at).then(|| format!("takes longer to read than {} s", lasts.as_secs()))
    }

    fn env(&self, name: &str) -> Option<String> {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }

    fn env_names(&self) -> Vec<String> {
        std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect()
    }

    fn hostname(&self) -> String {
        nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    fn now(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }

    fn directory(&self) -> String {
        self.directory.clone()
    }

    fn own_identity(&self) -> (u32, String, u32, String) {
        self.constant().identity.clone()
    }

    fn processors(&self) -> usize {
        self.constant().processors
    }

    fn full_path(&self, path: &str) -> String {
        let path = self.at(path);
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return path.to_string_lossy().into_owned() };
        let parent = fs::canonicalize(parent).unwrap_or_else(|_| parent.to_owned());
        parent.join(name).to_string_lossy().into_owned()
    }

    fn inode(&self, path: &str) -> Option<u64> {
        use std::os::unix::fs::MetadataExt;
        Some(fs::symlink_metadata(self.at(path)).ok()?.ino()) // of a link its own, as uWSGI
    }

    fn uwsgi_binary(&self) -> String {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path).map(|dir| dir.join("uwsgi")).find(|program| program.is_file());
        // As uWSGI: what runs in the end, not the link to it.
        let found = found.map(|program| fs::canonicalize(&program).unwrap_or(program));
        found.map_or_else(|| "/usr/bin/uwsgi".to_owned(), |program| program.to_string_lossy().into_owned())
    }

    /// Empty where there is none.
    fn uwsgi_version(&self) -> String {
        if let Some(version) = self.uwsgi_version.get() {
            return version.clone();
        }
        let binary = quoted(&self.uwsgi_binary());
        // One that could not be asked is asked again the next time.
        let Ok(said) = self.output_of(&format!("{binary} --version 2>/dev/null")) else { return String::new() };
        self.uwsgi_version.get_or_init(|| String::from_utf8_lossy(&said).trim().to_owned()).clone()
    }

    fn user(&self, name_or_number: &str) -> Result<Option<(u32, u32, String)>, NoAnswer> {
        let nss = Nss::of(self);
        if let Ok(uid) = name_or_number.parse::<u32>() {
            let known = nss.user_of(uid)?;
            return Ok(Some(known.map_or_else(|| (uid, uid, uid.to_string()), |u| (uid, u.gid.as_raw(), u.name))));
        }
        Ok(nss.user(name_or_number)?.map(|user| (user.uid.as_raw(), user.gid.as_raw(), user.name)))
    }

    fn group(&self, name_or_number: &str) -> Result<Option<u32>, NoAnswer> {
        name_or_number.parse::<u32>().map_or_else(|_| Nss::of(self).group(name_or_number), |gid| Ok(Some(gid)))
    }

    fn account(&self, uid: u32) -> Result<Option<AccountRecord>, NoAnswer> {
        let Some(user) = Nss::of(self).user_of(uid)? else { return Ok(None) };
        let text = |path: PathBuf, otherwise: &str| match path.to_string_lossy() {
            path if path.is_empty() => otherwise.to_owned(),
            path => path.into_owned(),
        };
        Ok(Some(AccountRecord { name: user.name, home: text(user.dir, "/"), shell: text(user.shell, "/bin/sh") }))
    }

    fn read_secret(&self, path: &str, most: usize) -> Result<Vec<u8>, NoAnswer> {
        self.whereabouts.set(Path::new(path));
        crate::secret::read(Path::new(path), most)
    }

    fn groups_of(&self, user: &str, gid: u32) -> Result<Vec<u32>, NoAnswer> {
        Nss::of(self).groups_of(user, gid)
    }
}

/// What was found; None: it is not there. Of some errors nothing can be concluded.
pub(crate) fn asked<T>(answer: nix::Result<T>, is_none: fn(Errno) -> bool) -> Result<Option<T>, NoAnswer> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(errno) if is_none(errno) => Err(unanswered(errno)),
        Err(_) => Ok(None),
    }
}

pub(crate) fn unanswered(errno: Errno) -> NoAnswer {
    match lack(errno) {
        Some(lack) => NoAnswer::Lacking(format!("{lack}: {}", in_words(errno))),
        None => NoAnswer::Failed(in_words(errno)),
    }
}

/// Why a file could not be had.
pub(crate) fn not_had(error: &std::io::Error) -> NoAnswer {
    match lacking(error) {
        Some(lack) => NoAnswer::Lacking(lack),
        None => NoAnswer::Failed(phrase(error)),
    }
}

/// What was lacking to read a file, if that was it: the way to a file leads through `/proc`.
pub(crate) fn lacking(error: &std::io::Error) -> Option<String> {
    let is_about_proc = || error.raw_os_error().is_none() && !is_proc_there();
    match lack(errno(error)) {
        // A lease, which the kernel takes away.
        None if error.kind() == std::io::ErrorKind::WouldBlock => Some(phrase(error)),
        Some(lack) => Some(format!("{lack}: {}", phrase(error))),
        None => is_about_proc().then(|| phrase(error)),
    }
}

pub(crate) fn is_proc_there() -> bool {
    Path::new("/proc/self").symlink_metadata().is_ok()
}

/// What the host, or the daemon, has no more of, where this error tells of it.
pub(crate) fn lack(errno: Errno) -> Option<&'static str> {
    liege_core::missing(errno as i32)
}

fn in_words(errno: Errno) -> String {
    format!("{errno:?} ({})", errno.desc())
}

/// The daemon lacks something, and the disk, that it needs to ask.
pub(crate) fn is_lack(errno: Errno) -> bool {
    matches!(errno, Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EIO)
}

pub(crate) fn errno(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(directory: &Path) -> World {
        World::alone_in(directory)
    }

    #[test]
    fn relative_paths_start_in_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.ini"), "x").unwrap();
        let world = world(dir.path());
        assert_eq!(world.read("a.ini", 9), Ok(b"x".to_vec()));
        assert_eq!(world.read("file://a.ini", 9), Ok(b"x".to_vec()));
        assert_eq!(world.kind("a.ini"), Ok(Some(Kind::File)));
        assert_eq!(world.kind("."), Ok(Some(Kind::Directory)));
        assert_eq!(world.kind("a.ini/b"), Ok(None));
        assert_eq!(world.glob("*.ini", 1), Ok(vec!["a.ini".to_owned()]));
        assert_eq!((world.glob("*", 0), world.read("a.ini", 0)), (Err(NoAnswer::TooMuch), Err(NoAnswer::TooMuch)));
        assert_eq!(world.read("b.ini", 9), Err(NoAnswer::Failed("No such file or directory".to_owned())));
    }

    #[test]
    fn a_command_gives_its_output_or_its_failure() {
        let world = World::alone();
        assert_eq!(world.read("exec://echo $((20+3))", 99), Ok(b"23\n".to_vec()));
        assert_eq!(world.read("exec://exit 3", 99), Err(NoAnswer::Failed("`exit 3` exited with status 3".to_owned())));
        assert_eq!(world.read("exec://kill -9 $$", 99), Err(NoAnswer::Failed("`kill -9 $$` was killed by signal 9".to_owned())));
    }

    #[test]
    fn a_fifo_nobody_writes_to_blocks_nobody() {
        let dir = tempfile::tempdir().unwrap();
        nix::unistd::mkfifo(&dir.path().join("f"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(world(dir.path()).read("f", 9), Err(NoAnswer::Failed("not a regular file".to_owned())));
    }

    #[test]
    fn magic_variables_say_what_the_real_uwsgi_says() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("real")).unwrap();
        fs::write(dir.path().join("real/a.ini"), "[uwsgi]\nset = x=%V|%b|%i|%p|%k|%u|%U|%g|%G|%h|%v\n").unwrap();
        let path = dir.path().join("link.ini");
        std::os::unix::fs::symlink("real/a.ini", &path).unwrap();
        let mut uwsgi = std::process::Command::new("uwsgi");
        let uwsgi = uwsgi.arg("--ini").arg(&path).args(["--show-config", "--no-server"]).current_dir(dir.path());
        let said = uwsgi.output().expect("uwsgi is installed: make deps");
        let said = String::from_utf8([said.stdout, said.stderr].concat()).unwrap();
        let said = said.lines().find_map(|line| line.strip_prefix("x = ")).expect(&said);
        let text = fs::read(&path).unwrap();
        let source = liege_spec::Source::new(path.to_str().unwrap(), &text);
        let (pairs, _) = liege_spec::flatten(&source, &["uwsgi"], false, &world(dir.path()));
        let ours = pairs.iter().find_map(|pair| (pair.key == "x").then_some(pair.value.as_str()));
        assert_eq!(ours, Some(said));
    }

    #[test]
    fn a_number_always_answers_a_name_only_when_known() {
        let world = World::alone();
        assert_eq!(world.user("0"), Ok(Some((0, 0, "root".to_owned()))));
        assert_eq!(world.user("3999999"), Ok(Some((3_999_999, 3_999_999, "3999999".to_owned()))));
        assert_eq!(world.user("no-such-user"), Ok(None));
        assert_eq!((world.group("root"), world.group("no-such-group")), (Ok(Some(0)), Ok(None)));
    }
}
