//! What is different on purpose, and why: the only excuse for a difference.

use crate::world::difference;

/// One deliberate difference, as it is seen.
pub(crate) struct Deliberate {
    /// The scenario in which it is seen.
    pub(crate) scenario: &'static str,
    /// `-`: a line only uWSGI writes, `+`: only liege.
    pub(crate) sign: char,
    /// How the line begins; behind a `*`, what it has somewhere.
    pub(crate) line: &'static str,
    /// What it is a case of.
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
    Killed,
    Refused,
    CallsIntoUwsgi,
    MoreWords,
    EveryWord,
    EveryPath,
    Repaired,
}

impl Reason {
    pub(crate) const ALL: [Self; 13] = [
        Self::AtExit,
        Self::AfterAFailedStart,
        Self::BeforeTheAppIsAsked,
        Self::OwnAsVassal,
        Self::OnceEach,
        Self::WhereItStands,
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

const fn only(scenario: &'static str, sign: char, line: &'static str, of: Reason) -> Deliberate {
    Deliberate { scenario, sign, line, of }
}

pub(crate) const DELIBERATE: &[Deliberate] = &[
    only("a user", '-', "hook-as-user-atexit ", Reason::AtExit),
    only("a user", '-', "exec-as-user-atexit ", Reason::AtExit),
    only("a user", '-', "hook-emperor-reload ", Reason::BeforeTheAppIsAsked),
    only("a user", '+', "hook-emperor-reload ", Reason::BeforeTheAppIsAsked),
    only("root", '-', "hook-as-user-atexit ", Reason::AtExit),
    only("root", '-', "exec-as-user-atexit ", Reason::AtExit),
    only("root", '-', "hook-emperor-reload ", Reason::BeforeTheAppIsAsked),
    only("root", '+', "hook-emperor-reload ", Reason::BeforeTheAppIsAsked),
    only("root", '-', "hook-as-root ", Reason::OnceEach),
    only("root", '-', "exec-as-root ", Reason::OnceEach),
    only("root", '-', "hook-as-user ", Reason::OnceEach),
    only("root", '-', "exec-as-user ", Reason::OnceEach),
    only("a new root", '-', "hook-as-user-atexit ", Reason::AtExit),
    only("a new root", '-', "exec-as-user-atexit ", Reason::AtExit),
    only("a new root", '-', "* cwd=<dir>/vassals pid=own root=new ", Reason::WhereItStands),
    only("a new root", '+', "* cwd=/ pid=own root=new ", Reason::WhereItStands),
    only("a failed start", '-', "hook-as-user-atexit uid=0 ", Reason::AfterAFailedStart),
    only("a failed start", '-', "exec-as-user-atexit uid=0 ", Reason::AfterAFailedStart),
    only("an emperor with hooks", '+', "own-as-vassal ", Reason::OwnAsVassal),
    only("an emperor with hooks", '-', "hook-as-user-atexit ", Reason::AtExit),
    only("an emperor with hooks", '-', "exec-as-user-atexit ", Reason::AtExit),
    only("an emperor with hooks", '-', "hook-emperor-reload ", Reason::BeforeTheAppIsAsked),
    only("an emperor with hooks", '+', "hook-emperor-reload ", Reason::BeforeTheAppIsAsked),
    only("mounts", '-', "mount <dir>/m/bind-ro rw,", Reason::EveryWord),
    only("mounts", '+', "mount <dir>/m/bind-ro ro,", Reason::EveryWord),
    only("mounts", '-', "mount <dir>/m/bind-private rw,nosuid,nodev,noexec,relatime tags=,shared", Reason::EveryWord),
    only("mounts", '+', "mount <dir>/m/bind-private rw,nosuid,nodev,noexec,relatime tags= ", Reason::EveryWord),
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

/// Fails with every difference that is not deliberate, and with every deliberate one that is not there.
#[track_caller]
pub(crate) fn agree(scenario: &str, theirs: &[String], ours: &[String]) {
    let differences = difference(theirs, ours);
    let expected: Vec<&Deliberate> = DELIBERATE.iter().filter(|d| d.scenario == scenario).collect();
    let fits = |d: &Deliberate, (sign, line): &(char, String)| {
        let said = d.line.strip_prefix('*').map_or_else(|| line.starts_with(d.line), |part| line.contains(part));
        d.sign == *sign && said
    };
    let unexcused: Vec<_> = differences.iter().filter(|found| !expected.iter().any(|d| fits(d, found))).collect();
    let missing: Vec<_> = expected.iter().filter(|d| !differences.iter().any(|found| fits(d, found))).collect();
    if unexcused.is_empty() && missing.is_empty() {
        return;
    }
    let mut report = format!("---- uWSGI\n{}\n---- liege\n{}\n---- only one of them\n", theirs.join("\n"), ours.join("\n"));
    for (sign, line) in unexcused {
        report.push_str(&format!("{sign} {line}\n"));
    }
    for d in missing {
        report.push_str(&format!("excused but not there: {} {}\n", d.sign, d.line));
    }
    panic!("{scenario}:\n{report}");
}
