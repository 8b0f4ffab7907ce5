//! `mount:` and `umount:` lines.
//!
//! uWSGI has one table of words for both calls, so `nosuid` on an unmount would mean "detach". Here each call has its own
//! words (a hook that is left to uWSGI has uWSGI's); a word of the other one is an error, and so are words that the kernel would
//! pass over in silence because of another one beside them. `slave`, `unbindable` and `relatime` are liege's additions. What takes
//! several calls of the kernel (`bind,ro,private`) is one line here; the calls are made of it when the plan is.

use crate::known::nearest;
use crate::{Code, Verb};

/// A mistake in one word of a line: the word, what is wrong, and a hint.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) word: String,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    pub(crate) code: Code,
}

impl Wrong {
    pub(crate) fn new(word: &str, message: impl Into<String>) -> Self {
        Self { word: word.to_owned(), message: message.into(), hint: None, code: Code::BadValue }
    }

    pub(crate) fn of(mut self, code: Code) -> Self {
        self.code = code;
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

const BIND: u64 = 1 << 12;
const MOVE: u64 = 1 << 13;
const REC: u64 = 1 << 14;
const REMOUNT: u64 = 1 << 5;
/// private, slave, shared, unbindable
const PROPAGATION: u64 = 1 << 18 | 1 << 19 | 1 << 20 | 1 << 17;
const DIRSYNC: u64 = 1 << 7;
/// sync, dirsync, mandlock: what a file system has, with all its mounts
const OF_THE_FILE_SYSTEM: u64 = 1 << 4 | 1 << 6 | DIRSYNC;

/// The kernel's `MS_*` bits by uWSGI's words.
const MOUNT: [(&str, u64); 21] = [
    ("bind", BIND),
    ("defaults", 0),
    ("dirsync", DIRSYNC),
    ("mandlock", 1 << 6),
    ("move", MOVE),
    ("noatime", 1 << 10),
    ("nodev", 1 << 2),
    ("noexec", 1 << 3),
    ("nosuid", 1 << 1),
    ("private", 1 << 18),
    ("rdonly", 1),
    ("readonly", 1),
    ("rec", REC),
    ("recursive", REC),
    ("relatime", 1 << 21),
    ("remount", REMOUNT),
    ("ro", 1),
    ("shared", 1 << 20),
    ("slave", 1 << 19),
    ("sync", 1 << 4),
    ("unbindable", 1 << 17),
];

/// What `mount(8)` calls them, and what they are here.
const ELSEWHERE: [(&str, &str); 6] = [
    ("rbind", "bind,rec"),
    ("rprivate", "private,rec"),
    ("rshared", "shared,rec"),
    ("rslave", "slave,rec"),
    ("runbindable", "unbindable,rec"),
    ("rw", "defaults"),
];

/// The words uWSGI has for both calls. `defaults` is the mount's alone, and new in 2.1; who has 2.0 may not write it.
const OF_UWSGI: [&str; 19] = [
    "bind",
    "detach",
    "dirsync",
    "force",
    "mandlock",
    "move",
    "noatime",
    "nodev",
    "noexec",
    "nosuid",
    "private",
    "rdonly",
    "readonly",
    "rec",
    "recursive",
    "remount",
    "ro",
    "shared",
    "sync",
];

const UMOUNT: [&str; 4] = ["detach", "force", "rec", "recursive"];

const FIELDS: &str = "a mount needs FS SRC DST [FLAG,...] [DATA]";

/// `FS SRC DST [FLAG,...] [DATA]`, one blank between each.
pub(crate) fn mount(argument: &str) -> Result<Verb, Wrong> {
    let mut fields = argument.splitn(5, ' ');
    let (Some(fstype), Some(source), Some(target)) = (fields.next(), fields.next(), fields.next()) else {
        return Err(Wrong::new(argument, FIELDS));
    };
    let (list, data) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
    let mut flags = 0;
    for word in words(list) {
        let Some((_, bits)) = MOUNT.iter().find(|(known, _)| *known == word) else {
            return Err(unknown(word, "mount", MOUNT.iter().map(|(known, _)| *known), UMOUNT.contains(&word)));
        };
        flags |= bits;
    }
    if target.is_empty() {
        return Err(Wrong::new(argument, "the mount point is empty: fields are separated by exactly one blank"));
    }
    contradiction(fstype, flags, list, data).map_or(Ok(()), Err)?;
    let (fstype, source, target, data) = (fstype.to_owned(), source.to_owned(), target.to_owned(), data.to_owned());
    Ok(Verb::Mount { fstype, source, target, flags, data })
}

/// Words that the kernel would not carry out together: it does the first it looks for and forgets the others.
fn contradiction(fstype: &str, flags: u64, list: &str, data: &str) -> Option<Wrong> {
    let has = |bits: u64| flags & bits != 0;
    let word =
        |bits: u64| words(list).find(|word| MOUNT.iter().any(|(known, bit)| known == word && bit & bits != 0)).unwrap_or(list);
    let none = fstype.is_empty() || fstype == "none";
    if (flags & PROPAGATION).count_ones() > 1 {
        return Some(Wrong::new(list, "private, slave, shared and unbindable exclude each other"));
    }
    if has(MOVE) && has(BIND | REMOUNT) {
        return Some(Wrong::new("move", "a mount is moved, or bound, or mounted anew: not two of them"));
    }
    if has(REC) && (!has(BIND | PROPAGATION) || has(REMOUNT)) {
        let wrong = Wrong::new(word(REC), "recursive is said of a bind, or of private, slave, shared, unbindable");
        return Some(wrong.hint("nothing else that mounts goes below the mount point"));
    }
    if !data.is_empty() && has(BIND | MOVE) {
        let wrong = Wrong::new(data, "data is for a file system's driver, and this mounts none");
        return Some(wrong.hint(format!("another flag goes behind a comma: {list},{data}")));
    }
    if has(OF_THE_FILE_SYSTEM) && has(BIND | MOVE) {
        let word = word(OF_THE_FILE_SYSTEM);
        let wrong = Wrong::new(word, format!("{word} is of a whole file system, and this is about one mount of it"));
        return Some(wrong.hint("say it where the file system itself is mounted"));
    }
    if has(DIRSYNC) && has(REMOUNT) {
        let wrong =
            Wrong::new("dirsync", "a file system is mounted with dirsync or never has it: a remount changes nothing of it");
        return Some(wrong.hint("a remount can change sync"));
    }
    let only_propagation = none && has(PROPAGATION) && !has(BIND | MOVE | REMOUNT);
    let others = flags & !(PROPAGATION | REC);
    if only_propagation && others != 0 {
        let (word, of) = (word(others), word(PROPAGATION));
        return Some(Wrong::new(word, format!("{word} changes a mount, {of} alone makes none")).hint(format!("remount,{list}")));
    }
    if only_propagation && !data.is_empty() {
        let wrong = Wrong::new(data, format!("data is for a file system's driver, {} alone mounts none", word(PROPAGATION)));
        return Some(wrong.hint(format!("another flag goes behind a comma: {list},{data}")));
    }
    None
}

/// Whether these make a mount where there may be none: a remount and a change of the propagation do not.
pub(crate) fn is_new(fstype: &str, flags: u64) -> bool {
    let has = |bits: u64| flags & bits != 0;
    let none = fstype.is_empty() || fstype == "none";
    !has(REMOUNT) && (!none || !has(PROPAGATION) || has(BIND | MOVE))
}

/// Whether uWSGI itself would understand a mount: an unknown word ends it.
pub(crate) fn check_for_uwsgi(argument: &str) -> Result<(), Wrong> {
    let fields: Vec<&str> = argument.splitn(5, ' ').collect();
    if fields.len() < 3 {
        return Err(Wrong::new(argument, FIELDS));
    }
    words_of_uwsgi("mount", fields.get(3).unwrap_or(&""))
}

/// The same of an unmount.
pub(crate) fn check_umount_for_uwsgi(argument: &str) -> Result<(), Wrong> {
    words_of_uwsgi("umount", argument.split_once(' ').map_or("", |(_, list)| list))
}

fn words_of_uwsgi(call: &str, list: &str) -> Result<(), Wrong> {
    let known = OF_UWSGI.into_iter().chain((call == "mount").then_some("defaults"));
    match words(list).find(|word| !known.clone().any(|known| known == *word)) {
        Some(word) => Err(unknown(word, call, known, false)),
        None => Ok(()),
    }
}

/// `DST [FLAG,...]`
pub(crate) fn umount(argument: &str) -> Result<Verb, Wrong> {
    let mut fields = argument.splitn(2, ' ');
    let target = fields.next().unwrap_or_default().to_owned();
    if target.is_empty() {
        return Err(Wrong::new(argument, "an unmount needs DST [FLAG,...]"));
    }
    let (mut detach, mut force, mut recursive) = (false, false, false);
    for word in words(fields.next().unwrap_or_default()) {
        match word {
            "detach" => detach = true,
            "force" => force = true,
            "rec" | "recursive" => recursive = true,
            _ => return Err(unknown(word, "umount", UMOUNT.into_iter(), MOUNT.iter().any(|(known, _)| *known == word))),
        }
    }
    Ok(Verb::Umount { target, detach, force, recursive })
}

fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').filter(|word| !word.is_empty())
}

fn unknown<'a>(word: &str, call: &str, words: impl Iterator<Item = &'a str> + Clone, of_the_other: bool) -> Wrong {
    if of_the_other {
        let other = if call == "mount" { "umount" } else { "mount" };
        return Wrong::new(word, format!("\"{word}\" is a flag of {other}, not of {call}")).of(Code::UnknownFlag);
    }
    let wrong = Wrong::new(word, format!("unknown {call} flag \"{word}\"")).of(Code::UnknownFlag);
    if let Some((_, here)) = ELSEWHERE.iter().find(|(there, _)| *there == word && call == "mount") {
        return wrong.hint(format!("write {here}"));
    }
    match nearest(word, words.clone()) {
        Some(near) => wrong.hint(format!("did you mean {near}?")),
        None => wrong.hint(format!("known: {}", words.collect::<Vec<_>>().join(" "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_founding_lines() {
        let mounted = |fstype: &str, source: &str, target: &str, flags, data: &str| Verb::Mount {
            fstype: fstype.into(),
            source: source.into(),
            target: target.into(),
            flags,
            data: data.into(),
        };
        for (line, meant) in [
            ("proc none /proc", mounted("proc", "none", "/proc", 0, "")),
            ("none /.old_root/dev /dev bind", mounted("none", "/.old_root/dev", "/dev", 4096, "")),
            ("none none / recursive,private", mounted("none", "none", "/", 0x4_4000, "")),
            ("tmpfs none /tmp nosuid,nodev size=1m,mode=1777 x", mounted("tmpfs", "none", "/tmp", 6, "size=1m,mode=1777 x")),
            (" /a /b bind", mounted("", "/a", "/b", 4096, "")),
            ("none /a /b remount,bind,ro", mounted("none", "/a", "/b", 4129, "")),
            ("none /a /b bind,rec,nosuid,,slave", mounted("none", "/a", "/b", 0x8_5002, "")),
            ("overlay none /b defaults lowerdir=/a b", mounted("overlay", "none", "/b", 0, "lowerdir=/a b")),
            ("tmpfs none /b shared", mounted("tmpfs", "none", "/b", 0x10_0000, "")),
            ("tmpfs none /b private,dirsync size=1m", mounted("tmpfs", "none", "/b", 0x4_0080, "size=1m")),
            ("none none /b remount,sync size=1m", mounted("none", "none", "/b", 48, "size=1m")),
        ] {
            assert_eq!(mount(line), Ok(meant), "{line}");
        }
        let detached = Verb::Umount { target: "/.old_root".into(), detach: true, force: false, recursive: true };
        assert_eq!(umount("/.old_root rec,detach"), Ok(detached));
    }

    #[test]
    fn wrong_words() {
        for (outcome, word, message) in [
            (mount("none /a /b bnd"), "bnd", "unknown mount flag"),
            (mount("none /a /b detach"), "detach", "flag of umount"),
            (umount("/a nosuid"), "nosuid", "flag of mount"),
            (mount("none /a"), "none /a", "needs FS"),
            (mount("none  /a /b"), "/b", "unknown mount flag"),
            (mount("none /a /b rbind"), "rbind", "unknown mount flag"),
            (mount("none none / private,slave"), "private,slave", "exclude each other"),
            (mount("none /a /b bind,move"), "move", "not two"),
            (mount("tmpfs none /b rec"), "rec", "said of a bind"),
            (mount("none none /b remount,recursive,ro"), "recursive", "said of a bind"),
            (mount("none /a /b bind ro"), "ro", "driver"),
            (mount("none none /b ro,private"), "ro", "private alone makes none"),
            (mount("none /a /b bind,sync"), "sync", "whole file system"),
            (mount("none /a /b rec,dirsync,bind"), "dirsync", "whole file system"),
            (mount("none none /b remount,bind,dirsync"), "dirsync", "whole file system"),
            (mount("none none /b remount,dirsync"), "dirsync", "never has it"),
            (mount("none /a /b move,mandlock"), "mandlock", "whole file system"),
            (mount("none none / private rec"), "rec", "private alone mounts none"),
            (mount("none none / rec,slave size=1m"), "size=1m", "slave alone mounts none"),
            (umount(""), "", "needs DST"),
        ] {
            let wrong = outcome.unwrap_err();
            assert_eq!(wrong.word, word);
            assert!(wrong.message.contains(message), "{}", wrong.message);
        }
    }
}
