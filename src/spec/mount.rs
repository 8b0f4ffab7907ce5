//! `mount:` and `umount:` lines.
//!
//! uWSGI has one table of words for both calls, so `nosuid` on an unmount would mean "detach". Here each call has its own
//! words; a word of the other one is an error. `slave`, `unbindable` and `relatime` are liege's additions.

use crate::Verb;
use crate::known::nearest;

/// A mistake in one word of a line: the word, what is wrong, and a hint.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) word: String,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Wrong {
    pub(crate) fn new(word: &str, message: impl Into<String>) -> Self {
        Self { word: word.to_owned(), message: message.into(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The kernel's `MS_*` bits by uWSGI's words.
const MOUNT: [(&str, u64); 21] = [
    ("bind", 1 << 12),
    ("defaults", 0),
    ("dirsync", 1 << 7),
    ("mandlock", 1 << 6),
    ("move", 1 << 13),
    ("noatime", 1 << 10),
    ("nodev", 1 << 2),
    ("noexec", 1 << 3),
    ("nosuid", 1 << 1),
    ("private", 1 << 18),
    ("rdonly", 1),
    ("readonly", 1),
    ("rec", 1 << 14),
    ("recursive", 1 << 14),
    ("relatime", 1 << 21),
    ("remount", 1 << 5),
    ("ro", 1),
    ("shared", 1 << 20),
    ("slave", 1 << 19),
    ("sync", 1 << 4),
    ("unbindable", 1 << 17),
];

const UMOUNT: [&str; 4] = ["detach", "force", "rec", "recursive"];

/// `FS SRC DST [FLAG,...] [DATA]`, one blank between each.
pub(crate) fn mount(argument: &str) -> Result<Verb, Wrong> {
    let mut fields = argument.splitn(5, ' ');
    let (Some(fstype), Some(source), Some(target)) = (fields.next(), fields.next(), fields.next()) else {
        return Err(Wrong::new(argument, "a mount needs FS SRC DST [FLAG,...] [DATA]"));
    };
    let mut flags = 0;
    for word in words(fields.next()) {
        let Some((_, bits)) = MOUNT.iter().find(|(known, _)| *known == word) else {
            return Err(unknown(word, "mount", MOUNT.iter().map(|(known, _)| *known), UMOUNT.contains(&word)));
        };
        flags |= bits;
    }
    if target.is_empty() {
        return Err(Wrong::new(argument, "the mount point is empty: fields are separated by exactly one blank"));
    }
    let data = fields.next().unwrap_or_default().to_owned();
    Ok(Verb::Mount { fstype: fstype.to_owned(), source: source.to_owned(), target: target.to_owned(), flags, data })
}

/// `DST [FLAG,...]`
pub(crate) fn umount(argument: &str) -> Result<Verb, Wrong> {
    let mut fields = argument.splitn(2, ' ');
    let target = fields.next().unwrap_or_default().to_owned();
    if target.is_empty() {
        return Err(Wrong::new(argument, "an unmount needs DST [FLAG,...]"));
    }
    let (mut detach, mut force, mut recursive) = (false, false, false);
    for word in words(fields.next()) {
        match word {
            "detach" => detach = true,
            "force" => force = true,
            "rec" | "recursive" => recursive = true,
            _ => return Err(unknown(word, "umount", UMOUNT.into_iter(), MOUNT.iter().any(|(known, _)| *known == word))),
        }
    }
    Ok(Verb::Umount { target, detach, force, recursive })
}

fn words(list: Option<&str>) -> impl Iterator<Item = &str> {
    list.unwrap_or_default().split(',').filter(|word| !word.is_empty())
}

fn unknown<'a>(word: &str, call: &str, words: impl Iterator<Item = &'a str> + Clone, of_the_other: bool) -> Wrong {
    if of_the_other {
        let other = if call == "mount" { "umount" } else { "mount" };
        return Wrong::new(word, format!("\"{word}\" is a flag of {other}, not of {call}"));
    }
    let wrong = Wrong::new(word, format!("unknown {call} flag \"{word}\""));
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
            (umount(""), "", "needs DST"),
        ] {
            let wrong = outcome.unwrap_err();
            assert_eq!(wrong.word, word);
            assert!(wrong.message.contains(message), "{}", wrong.message);
        }
    }
}
