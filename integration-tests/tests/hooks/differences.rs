//! What is different on purpose, and why: the only excuse for a difference.

use crate::world::{Difference, difference};

/// One deliberate difference, as it is seen.
pub(crate) struct Deliberate {
    /// The scenario in which it is seen.
    scenario: &'static str,
    /// `-`: a line only uWSGI writes, `+`: only liege.
    sign: char,
    /// How many times.
    times: usize,
    /// The first word of the line before it, in the record it stands in.
    behind: &'static str,
    /// The whole line.
    line: String,
    /// What it is a case of.
    pub(crate) of: Reason,
}

/// A field that reads otherwise wherever a new root is, and nothing else of its line.
pub(crate) struct Field {
    scenario: &'static str,
    theirs: &'static str,
    ours: &'static str,
    pub(crate) of: Reason,
}

/// What an operator reads in README, word for word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    AtExit,
    AfterAFailedStart,
    BeforeTheAppIsAsked,
    OwnAsVassal,
    OnceEach,
    WhereItStands,
    OutsideOfIt,
    Killed,
    Refused,
    CallsIntoUwsgi,
    MoreWords,
    EveryWord,
    EveryPath,
    Repaired,
}

impl Reason {
    pub(crate) const ALL: [Self; 14] = [
        Self::AtExit,
        Self::AfterAFailedStart,
        Self::BeforeTheAppIsAsked,
        Self::OwnAsVassal,
        Self::OnceEach,
        Self::WhereItStands,
        Self::OutsideOfIt,
        Self::Killed,
        Self::Refused,
        Self::CallsIntoUwsgi,
        Self::MoreWords,
        Self::EveryWord,
        Self::EveryPath,
        Self::Repaired,
    ];

    /// What uWSGI does, what liege does, and why.
    pub(crate) fn in_words(self) -> [&'static str; 3] {
        match self {
            Self::AtExit => [
                "`as-user-atexit` runs on a reload too",
                "at the end of the vassal only",
                "what it unmounts, and only a first start mounts, would stay unmounted",
            ],
            Self::AfterAFailedStart => [
                "`as-user-atexit` runs after a failed start too, as root where the failure came before the drop",
                "where an app has run, as the user",
                "a hook of the user must not run as root; what a failed start has mounted goes with its namespace",
            ],
            Self::BeforeTheAppIsAsked => [
                "a reload runs `emperor-reload` first, then `asap` and `in-jail`",
                "`asap` and `in-jail` run while the old app still serves, then it is asked",
                "a hook that fails or lasts is no outage of the app",
            ],
            Self::OwnAsVassal => [
                "`*-as-vassal` is the Emperor's to have; in a vassal's file it means nothing",
                "both may have it: the emperor's first, then the vassal's",
                "a vassal can be moved to another emperor with all it needs",
            ],
            Self::OnceEach => [
                "a vassal without `uid` runs `as-root` and `as-user` four times (at each place where it could drop its rights)",
                "once, before uwsgi starts, whatever `drop-after-*` or `master-as-root` say",
                "nothing is dropped in between: the repetitions mount the same things over each other",
            ],
            Self::WhereItStands => [
                "a reload begins in the directory of the vassal's file, by its path in the new root",
                "where the first start left off, as the app",
                "in a new root that directory is another one, or none",
            ],
            Self::OutsideOfIt => [
                "`chroot` leaves the directory what it was, outside of the new root",
                "the new root is entered",
                "who stands outside is not shut in",
            ],
            Self::Killed => ["a hook killed by a signal has succeeded", "it has failed", "what it should have done is not done"],
            Self::Refused => [
                "a hook that cannot be understood ends the vassal when its turn comes, again and again (or does something else)",
                "the file is refused before anything starts, with line and column",
                "what runs goes on",
            ],
            Self::CallsIntoUwsgi => [
                "`call*` of any C function, `rpc`, `unix_signal`, `spinningfifo`",
                "`chdir`, `putenv`, `unlink`, `umount`, `uwsgi_log` are carried out as what they mean; others are refused",
                "hooks run before there is a uWSGI process, and nothing may retry for ever",
            ],
            Self::MoreWords => {
                ["mount flags `defaults`, `slave`, `unbindable`, `relatime` are unknown (2.0)", "known", "FUSE jails need them"]
            }
            Self::EveryWord => [
                "one `mount(2)` a line: `bind,ro` is writable, `bind,private` is shared",
                "as many calls as the words need",
                "what is asked for read-only must be",
            ],
            Self::EveryPath => [
                "`umount:PATH rec` misses paths with blanks and lines of the mount table over 1023 bytes",
                "takes every mount",
                "one that is missed keeps the whole tree busy",
            ],
            Self::Repaired => [
                "`writen:FILE` without a text fails; `callint:putenv A=b` crashes",
                "a newline is written; the variable is set",
                "it is what the line says",
            ],
        }
    }
}

/// The places of a vassal: the host's root, and a new one.
const HOST: &str = "cwd=<dir>/vassals pid=own root=host";
const NEW: &str = "cwd=/ pid=own root=new";

/// All deliberate differences.
pub(crate) fn deliberate() -> Vec<Deliberate> {
    let mut all = Vec::new();
    let mut only = |scenario, sign, times, behind, line: String, of| {
        all.push(Deliberate { scenario, sign, times, behind, line, of });
    };
    let mark = |name: &str, id: u32, place: &str, mounts: u32, set: &str| {
        format!("{name} uid={id} gid={id} groups={id} {place} umask=0027 mounts={mounts} set={set} env=from-env")
    };
    for (scenario, id, place, mounts, last) in [
        ("a user", 33, HOST, 4, "exec-in-jail"),
        ("a user, jailed", 33, HOST, 5, "exec-in-jail"),
        ("a user, unshared", 33, HOST, 5, "exec-in-jail"),
        ("an emperor with hooks", 33, HOST, 5, "exec-in-jail"),
        ("a pivot", 33, NEW, 0, "exec-in-jail"),
        ("a chroot", 33, NEW, 0, "exec-in-jail"),
        ("root", 0, HOST, 0, "exec-as-user"),
    ] {
        let mut at_reload =
            |sign, behind, name, of| only(scenario, sign, 1, behind, mark(name, id, place, mounts, "as-user"), of);
        at_reload('-', "==", "hook-emperor-reload", Reason::BeforeTheAppIsAsked);
        at_reload('+', last, "hook-emperor-reload", Reason::BeforeTheAppIsAsked);
        at_reload('-', "hook-emperor-reload", "hook-as-user-atexit", Reason::AtExit);
        at_reload('-', "hook-as-user-atexit", "exec-as-user-atexit", Reason::AtExit);
    }
    // Twice more before the app and once behind it, at the start and at the reload.
    for (times, behind, name, set) in [
        (4, "exec-as-user", "hook-as-root", "as-user"),
        (2, "exec-post-app", "hook-as-root", "as-user"),
        (6, "hook-as-root", "exec-as-root", "as-root"),
        (6, "exec-as-root", "hook-as-user", "as-root"),
        (6, "hook-as-user", "exec-as-user", "as-user"),
    ] {
        only("root", '-', times, behind, mark(name, 0, HOST, 0, set), Reason::OnceEach);
    }
    for (behind, name) in [("exec-as-root", "hook-as-user-atexit"), ("hook-as-user-atexit", "exec-as-user-atexit")] {
        only("a failed start", '-', 1, behind, mark(name, 0, HOST, 0, "as-root"), Reason::AfterAFailedStart);
    }
    let own = format!("own-as-vassal uid=0 gid=0 groups=0 {HOST} umask=0022 mounts=1 set=as-vassal env=");
    only("an emperor with hooks", '+', 1, "exec-as-vassal", own, Reason::OwnAsVassal);
    for (sign, which, flags, tags) in [
        ('-', "ro", "rw,noexec", ""),
        ('+', "ro", "ro,noexec", ""),
        ('-', "private", "rw,nosuid,nodev,noexec", ",shared"),
        ('+', "private", "rw,nosuid,nodev,noexec", ""),
    ] {
        let line = format!("mount <dir>/m/bind-{which} {flags},relatime tags={tags} type=tmpfs rw");
        only("mounts", sign, 1, "mount", line, Reason::EveryWord);
    }
    all
}

const fn reads(scenario: &'static str, theirs: &'static str, ours: &'static str, of: Reason) -> Field {
    Field { scenario, theirs, ours, of }
}

pub(crate) const FIELDS: &[Field] = &[
    reads("a pivot", "cwd=<dir>/vassals", "cwd=/", Reason::WhereItStands),
    reads("a chroot", "cwd=<dir>/vassals", "cwd=/", Reason::WhereItStands),
    reads("a chroot", "cwd=", "cwd=/", Reason::OutsideOfIt),
];

/// A tree with a blank in a name, and the end of it.
pub(crate) const REC_WITH_BLANKS: &str = "exec:mount -t tmpfs none <dir>/m && mkdir '<dir>/m/a b' && mount -t tmpfs none '<dir>/m/a b'\n\
    hook-as-root = umount:<dir>/m rec";

/// Hooks of `as-root` that fare otherwise: the verb, its fate in uWSGI, its fate here.
pub(crate) const FATES: &[(&str, &str, &str, Reason)] = &[
    ("exec:kill -9 $$", "up", "dies", Reason::Killed),
    ("chmod:<dir>/w rwx", "up", "refused", Reason::Refused),
    ("chown:<dir>/w nobody-of-this-name root", "dies", "refused", Reason::Refused),
    ("chown2:<dir>/w root root", "dies", "refused", Reason::Refused),
    ("write:<dir>/w/no-text", "dies", "refused", Reason::Refused),
    ("writen:<dir>/w/no-text", "dies", "up", Reason::Repaired),
    ("mount:none none", "dies", "refused", Reason::Refused),
    ("alarm:wrong", "dies", "refused", Reason::Refused),
    ("callret:getpid", "dies", "refused", Reason::CallsIntoUwsgi),
    ("callintret:alarm 0", "up", "refused", Reason::CallsIntoUwsgi),
    ("callint:putenv A=b", "dies", "up", Reason::Repaired),
    ("rpc:hello", "dies", "refused", Reason::CallsIntoUwsgi),
    ("unix_signal:10 getpid", "up", "refused", Reason::CallsIntoUwsgi),
    ("spinningfifo:<dir>/record text", "up", "refused", Reason::CallsIntoUwsgi),
    ("no-colon", "dies", "refused", Reason::Refused),
    ("nosuchverb:x", "dies", "refused", Reason::Refused),
    ("mount:tmpfs none <dir>/m defaults", "dies", "up", Reason::MoreWords),
    ("mount:tmpfs none <dir>/m relatime", "dies", "up", Reason::MoreWords),
    ("mount:none none / rec,slave", "dies", "up", Reason::MoreWords),
    ("mount:none none / rec,unbindable", "dies", "up", Reason::MoreWords),
    ("mount:tmpfs none <dir>/m nosuchflag", "dies", "refused", Reason::Refused),
    ("mount:tmpfs none <dir>/m detach", "up", "refused", Reason::Refused),
    ("mount:tmpfs none <dir>/m rec", "up", "refused", Reason::Refused),
    ("mount:none <dir>/w <dir>/m bind ro", "up", "refused", Reason::Refused),
    ("mount:none <dir>/w <dir>/m bind,sync", "up", "refused", Reason::Refused),
    ("mount:none none / ro,private", "dies", "refused", Reason::Refused),
    (REC_WITH_BLANKS, "dies", "up", Reason::EveryPath),
    ("umount:<dir>/w nosuid", "dies", "refused", Reason::Refused),
    ("umount:<dir>/w nosuchflag", "dies", "refused", Reason::Refused),
];

/// The rows of README's table "Hooks, mounts and roots" that the reasons are; the table has others, which no scenario here shows.
pub(crate) fn rows() -> impl Iterator<Item = String> {
    Reason::ALL.iter().map(|reason| format!("| {} |", reason.in_words().join(" | ")))
}

/// uWSGI's lines, with the fields that read otherwise here put in; one that is nowhere is told.
fn read_as_ours(scenario: &str, theirs: &[String], missing: &mut Vec<String>) -> Vec<String> {
    let mut lines = theirs.to_vec();
    for field in FIELDS.iter().filter(|field| field.scenario == scenario) {
        let mut seen = false;
        for line in lines.iter_mut().filter(|line| line.split(' ').any(|word| word == "root=new")) {
            seen |= line.split(' ').any(|word| word == field.theirs);
            *line =
                line.split(' ').map(|word| if word == field.theirs { field.ours } else { word }).collect::<Vec<_>>().join(" ");
        }
        if !seen {
            missing.push(format!("{} that reads {}", field.theirs, field.ours));
        }
    }
    lines
}

/// Fails with every difference that is not deliberate, and with every deliberate one that is not there.
#[track_caller]
pub(crate) fn agree(scenario: &str, theirs: &[String], ours: &[String]) {
    let mut missing = Vec::new();
    let mut unexcused = difference(&read_as_ours(scenario, theirs, &mut missing), ours);
    for d in deliberate().iter().filter(|d| d.scenario == scenario) {
        let fits = |found: &Difference| found.sign == d.sign && found.line == d.line && found.behind == d.behind;
        for _ in 0..d.times {
            match unexcused.iter().position(fits) {
                Some(at) => drop(unexcused.remove(at)),
                None => missing.push(format!("{} {} (behind {})", d.sign, d.line, d.behind)),
            }
        }
    }
    if unexcused.is_empty() && missing.is_empty() {
        return;
    }
    let mut report = format!("---- uWSGI\n{}\n---- liege\n{}\n---- only one of them\n", theirs.join("\n"), ours.join("\n"));
    for Difference { sign, behind, line } in unexcused {
        report.push_str(&format!("{sign} {line} (behind {behind})\n"));
    }
    for what in missing {
        report.push_str(&format!("excused but not there: {what}\n"));
    }
    panic!("{scenario}:\n{report}");
}
