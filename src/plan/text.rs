//! A step in words: `--plan`, logs and error messages all say it the same way.

use crate::{Act, MountFlags, Wait};

/// The act in the words of the configuration, short enough for one line.
#[must_use]
pub fn describe_act(act: &Act) -> String {
    match act {
        Act::CutPropagation => "make / recursively slave".into(),
        Act::MakePrivate => "make / recursively private".into(),
        Act::MountProc => "mount a fresh /proc".into(),
        Act::LoopbackUp => "set the loopback interface up".into(),
        Act::Unshare(new) => {
            let all = [(new.mount, "fs"), (new.ipc, "ipc"), (new.uts, "uts"), (new.net, "net"), (new.cgroup, "cgroup")];
            let words: Vec<_> = all.iter().filter(|w| w.0).map(|w| w.1).collect();
            format!("unshare {}", words.join(",")).trim_end().to_owned()
        }
        Act::BoundCaps(set) => format!("leave to programs the capabilities {set:#x}"),
        Act::KeepCaps(set) => format!("keep the capabilities {set:#x}"),
        Act::FindIdentity(names) => format!("find user {} and group {} in this root", names.user, names.group),
        Act::Hostname(name) => format!("set the host name to {name}"),
        Act::Exec(command) => format!("exec {}", short(command)),
        Act::Mount(m) => {
            let kind = if m.fstype.is_empty() { "none" } else { &m.fstype };
            format!("mount {kind} {} on {} {}", m.source, m.target, words(m.flags)).trim_end().to_owned()
        }
        Act::SetMountAttributes(a) => {
            let below = if a.recursive { " and everything below it" } else { "" };
            format!("make the mount {}{below} {}", a.target, words(a.flags))
        }
        Act::Umount(u) => {
            let words: Vec<_> =
                [(u.recursive, "rec"), (u.detach, "detach"), (u.force, "force")].iter().filter(|w| w.0).map(|w| w.1).collect();
            format!("umount {} {}", u.target, words.join(",")).trim_end().to_owned()
        }
        Act::Chdir(path) => format!("chdir {path}"),
        Act::Mkdir(path) => format!("mkdir {path}"),
        Act::Chmod(path, mode) => format!("chmod {path} {mode:o}"),
        Act::Sticky(path) => format!("sticky {path}"),
        Act::Chown(path, user, group) => format!("chown {path} {user} {group}"),
        Act::Create(path) => format!("create {path}"),
        Act::Write { path, append, .. } => format!("{} {path}", if *append { "append" } else { "write" }),
        Act::WriteFifo(path, _) => format!("writefifo {path}"),
        Act::Unlink(path) => format!("unlink {path}"),
        Act::Putenv(pair) => format!("putenv {}", short(pair)),
        Act::Surroundings { env, umask } => {
            let umask = umask.map(|mask| format!("umask {mask:o}"));
            let told: Vec<String> = env.iter().map(|pair| format!("env {}", short(pair))).chain(umask).collect();
            if told.is_empty() { "env and umask as inherited".to_owned() } else { told.join(", ") }
        }
        Act::Print(text) => format!("print {}", short(text)),
        Act::Exit(status) => format!("exit {status}"),
        Act::WaitFor(wait) => match wait {
            Wait::Fs(path) => format!("wait for {path}"),
            Wait::File(path) => format!("wait for file {path}"),
            Wait::Dir(path) => format!("wait for directory {path}"),
            Wait::Socket(path) => format!("wait for socket {path}"),
            Wait::Interface(name) => format!("wait for interface {name}"),
            Wait::Mountpoint(path) => format!("wait for mountpoint {path}"),
        },
        Act::PivotRoot { new, old } => format!("pivot_root {new} {old}"),
        Act::Chroot(path) => format!("chroot {path}"),
    }
}

/// A text that a person can still read in one line; the file has the rest.
fn short(text: &str) -> std::borrow::Cow<'_, str> {
    const MOST: usize = 500;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &text[..end]).into(),
        None => text.into(),
    }
}

/// The flags as the configuration calls them; bits without a word as a number.
fn words(flags: MountFlags) -> String {
    const WORDS: [(u64, &str); 17] = [
        (MountFlags::REMOUNT, "remount"),
        (MountFlags::BIND, "bind"),
        (MountFlags::MOVE, "move"),
        (MountFlags::REC, "rec"),
        (1, "ro"),
        (1 << 1, "nosuid"),
        (1 << 2, "nodev"),
        (1 << 3, "noexec"),
        (1 << 4, "sync"),
        (1 << 6, "mandlock"),
        (1 << 7, "dirsync"),
        (1 << 10, "noatime"),
        (1 << 17, "unbindable"),
        (1 << 18, "private"),
        (1 << 19, "slave"),
        (1 << 20, "shared"),
        (1 << 21, "relatime"),
    ];
    let mut said: Vec<String> = WORDS.iter().filter(|(bit, _)| flags.0 & bit != 0).map(|(_, word)| (*word).to_owned()).collect();
    let rest = WORDS.iter().fold(flags.0, |rest, (bit, _)| rest & !bit);
    if rest != 0 {
        said.push(format!("{rest:#x}"));
    }
    said.join(",")
}

/// `SIGKILL` for 9.
#[must_use]
pub fn signal_name(signal: i32) -> String {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
        "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR",
        "SYS",
    ];
    usize::try_from(signal - 1)
        .ok()
        .and_then(|i| NAMES.get(i))
        .map_or_else(|| format!("signal {signal}"), |name| format!("SIG{name}"))
}

/// Words of a program in quotation marks that end where the words do: a quotation mark among them is escaped. Words come with what a
/// terminal obeys, and their backslashes, escaped already (by init's logger), so that each escape can be told from the program's own words.
#[must_use]
pub fn in_quotes(words: &str) -> String {
    format!("\"{}\"", words.replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quotation_ends_with_its_words() {
        assert_eq!(
            in_quotes(r#"bad: x", killed by SIGKILL (out of memory) ""#),
            r#""bad: x\", killed by SIGKILL (out of memory) \"""#
        );
        assert_eq!(in_quotes(r"a\\"), r#""a\\""#, "escaped before");
    }

    #[test]
    fn what_nobody_would_read_to_its_end_is_cut() {
        assert_eq!(describe_act(&Act::Print("short".into())), "print short");
        let long = describe_act(&Act::Exec("ä".repeat(100_000)));
        assert_eq!(long, format!("exec {}...", "ä".repeat(500)));
    }

    #[test]
    fn flags_without_a_word_are_a_number() {
        assert_eq!(words(MountFlags(1 << 12 | 1 | 1 << 30)), "bind,ro,0x40000000");
    }
}
