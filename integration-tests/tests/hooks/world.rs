//! One directory in which the same vassals live first under the real uWSGI's Emperor and then under liege, and the record
//! their hooks keep: one line for each, with all that an outsider could see of the moment.

use std::fmt::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, SystemTime};
use std::{fs, iter};

use liege_integration_tests::{Emperor, Host, LONG, procs, tools, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Namespaces of the vassals: a name set by a hook must not become the machine's.
const CLONE: &str = "fs,pid,uts";

/// What a hook writes down. `$1` is its name; what it cannot find out (no /proc) is a dash.
const MARK: &str = r#"#!/bin/sh
ns=$(stat -L -c %i /proc/self/ns/pid 2>/dev/null || echo -)
mounts=$(grep -c " <dir>/m/" /proc/self/mountinfo 2>/dev/null || :)
echo "$1 uid=$(id -u) gid=$(id -g) groups=$(id -G | tr ' ' ,) cwd=$(pwd) pid=$ns root=$(stat -c %d:%i /) umask=$(umask) mounts=$mounts set=${HOOK_SET-} env=${HOOK_ENV-}" >> <dir>/record
"#;

/// Who governs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Uwsgi,
    Liege,
}

/// The directory of one scenario.
pub(crate) struct World<'h> {
    host: &'h Host,
    pub(crate) dir: PathBuf,
}

/// An Emperor at work, whosever it is.
pub(crate) enum Governor {
    Uwsgi { child: Child, said: PathBuf },
    Liege(Rc<Emperor>),
}

impl<'h> World<'h> {
    pub(crate) fn new(host: &'h Host, name: &str) -> Self {
        Self { host, dir: host.path(name) }
    }

    /// A text with `<dir>` and `<mark>` put in.
    pub(crate) fn fill(&self, text: &str) -> String {
        text.replace("<mark>", "sh <dir>/mark.sh").replace("<dir>", &self.dir.display().to_string())
    }

    /// As if nothing had ever been here.
    pub(crate) fn clean(&self) {
        let _ = fs::remove_dir_all(&self.dir);
        for name in ["", "vassals", "m", "w"] {
            fs::create_dir(self.dir.join(name)).expect("a fresh directory");
            open(&self.dir.join(name));
        }
        fs::write(self.dir.join("mark.sh"), self.fill(MARK)).expect("a script");
        fs::write(self.dir.join("record"), "").expect("a record");
        open(&self.dir.join("record"));
    }

    /// Starts an Emperor over `vassals/`, with more of uWSGI's options.
    pub(crate) fn govern(&self, side: Side, options: &[(String, String)]) -> Governor {
        let flags = options.iter().flat_map(|(key, value)| [format!("--{key}"), value.clone()]);
        if side == Side::Liege {
            let launch =
                flags.fold(self.host.emperor().only_my_arguments(&self.dir.join("vassals")), |launch, flag| launch.arg(flag));
            let (state, control) = (self.host.path("state"), self.host.path("control.sock"));
            let launch = launch.arg("--emperor").arg(self.dir.join("vassals")).arg("--emperor-use-clone").arg(CLONE);
            // Said where uWSGI's vassals say it, so that it can be compared.
            let launch = launch.arg("--vassal-set").arg("vassal-log=inherit");
            return Governor::Liege(launch.arg("--emperor-state-dir").arg(state).arg("--emperor-control").arg(control).start());
        }
        let said = self.dir.join("said");
        let log = fs::File::create(&said).expect("a log");
        // Private: what uWSGI's vassals mount would else be the host's.
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "uwsgi", "--emperor"]).arg(self.dir.join("vassals"));
        command.args(["--emperor-use-clone", CLONE, "--emperor-freq", "1", "--emperor-throttle", "1"]).args(flags);
        command.current_dir("/").env_clear().env("PATH", tools::PATH).env("LANG", "C.UTF-8").stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a descriptor")).stderr(log);
        Governor::Uwsgi { child: command.spawn().expect("unshare (util-linux) runs"), said }
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.join("vassals").join(name), self.fill(text)).expect("a vassal");
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.dir.join("vassals").join(name)).expect("a vassal");
    }

    /// A new time that also uWSGI, which knows whole seconds only, takes for newer.
    pub(crate) fn touch(&self, name: &str, seconds: u64) {
        let file = fs::File::options().append(true).open(self.dir.join("vassals").join(name)).expect("a vassal");
        file.set_modified(SystemTime::now() + Duration::from_secs(seconds)).expect("utimensat");
    }

    /// Puts a line of the story's own into the record.
    pub(crate) fn note(&self, what: &str) {
        use std::io::Write as _;
        let mut record = fs::File::options().append(true).open(self.dir.join("record")).expect("the record");
        writeln!(record, "{what}").expect("the record");
    }

    pub(crate) fn raw_record(&self) -> Vec<String> {
        let text = fs::read_to_string(self.dir.join("record")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits until so many lines begin with this word.
    pub(crate) fn wait(&self, word: &str, count: usize, governor: &Governor) {
        let starts = |line: &String| line.split(' ').next() == Some(word);
        let enough = || self.raw_record().iter().filter(|line| starts(line)).count() >= count;
        let start = std::time::Instant::now();
        while !enough() {
            if start.elapsed() > LONG {
                panic!("{count} times {word} never came:\n{}\n{}", self.raw_record().join("\n"), governor.said());
            }
            liege_integration_tests::wait::breathe(Duration::from_millis(5));
        }
    }

    /// The record in words that mean the same on both sides: numbers of namespaces and roots become names.
    pub(crate) fn record(&self) -> Vec<String> {
        let host = fs::metadata("/").expect("a root");
        let host = format!("{}:{}", host.dev(), host.ino());
        let own = fs::metadata("/proc/self/ns/pid").expect("/proc").ino().to_string();
        let name = |field: &str| match field.split_once('=') {
            Some(("pid", "-")) => "pid=?".to_owned(),
            Some(("pid", inode)) => if inode == own { "pid=host" } else { "pid=own" }.to_owned(),
            Some(("root", root)) => if root == host { "root=host" } else { "root=new" }.to_owned(),
            _ => field.to_owned(),
        };
        let dir = self.dir.display().to_string();
        let line = |line: &String| {
            let line = line.split(' ').map(name).collect::<Vec<_>>().join(" ");
            line.replace(&dir, "<dir>")
        };
        self.raw_record().iter().map(line).collect()
    }
}

impl Governor {
    fn pid(&self) -> i32 {
        match self {
            Self::Uwsgi { child, .. } => i32::try_from(child.id()).expect("a pid is small"),
            Self::Liege(emperor) => emperor.pid,
        }
    }

    /// All it has said so far.
    pub(crate) fn said(&self) -> String {
        match self {
            Self::Uwsgi { said, .. } => fs::read_to_string(said).unwrap_or_default(),
            Self::Liege(emperor) => emperor.log().into_iter().fold(String::new(), |mut all, line| {
                let _ = writeln!(all, "{line}");
                all
            }),
        }
    }

    /// Waits until no vassal lives.
    pub(crate) fn wait_alone(&self) {
        wait_until("all vassals to be gone", LONG, || match self {
            Self::Uwsgi { .. } => procs::descendants(self.pid()).is_empty(),
            Self::Liege(emperor) => emperor.vassals().is_empty(),
        });
    }

    /// Ends it and everything of it.
    pub(crate) fn end(self) {
        match self {
            Self::Liege(emperor) => emperor.put_to_rest(),
            Self::Uwsgi { mut child, .. } => {
                let all = procs::descendants(child.id().try_into().expect("a pid is small"));
                kill(Pid::from_raw(child.id().try_into().expect("a pid is small")), Signal::SIGKILL).expect("our own child");
                child.wait().expect("our own child");
                // Its vassals see its end; what they have started is not always told.
                for process in all {
                    let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
                }
            }
        }
    }
}

fn open(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("chmod of our own");
}

/// Runs something under both, on clean ground each; what each of them left.
pub(crate) fn both<T>(world: &World<'_>, mut run: impl FnMut(Side) -> T) -> [T; 2] {
    [Side::Uwsgi, Side::Liege].map(|side| {
        world.clean();
        run(side)
    })
}

/// A line only one of two lists has.
pub(crate) struct Difference {
    /// `-`: the first, `+`: the second.
    pub(crate) sign: char,
    /// The first word of the line before it.
    pub(crate) behind: String,
    pub(crate) line: String,
}

impl Difference {
    fn of(sign: char, list: &[String], at: usize) -> Self {
        let before = list[..at].last().and_then(|line| line.split(' ').next());
        Self { sign, behind: before.unwrap_or_default().to_owned(), line: list[at].clone() }
    }
}

/// The lines only one of two lists has, in order.
pub(crate) fn difference(theirs: &[String], ours: &[String]) -> Vec<Difference> {
    let mut longest = vec![vec![0usize; ours.len() + 1]; theirs.len() + 1];
    for i in (0..theirs.len()).rev() {
        for j in (0..ours.len()).rev() {
            longest[i][j] =
                if theirs[i] == ours[j] { longest[i + 1][j + 1] + 1 } else { longest[i + 1][j].max(longest[i][j + 1]) };
        }
    }
    let (mut i, mut j) = (0, 0);
    let next = || {
        while i < theirs.len() && j < ours.len() && theirs[i] == ours[j] {
            (i, j) = (i + 1, j + 1);
        }
        let take_theirs = i < theirs.len() && (j == ours.len() || longest[i + 1][j] >= longest[i][j + 1]);
        if take_theirs {
            i += 1;
            Some(Difference::of('-', theirs, i - 1))
        } else if j < ours.len() {
            j += 1;
            Some(Difference::of('+', ours, j - 1))
        } else {
            None
        }
    };
    iter::from_fn(next).collect()
}
