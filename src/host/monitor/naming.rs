//! Which files are vassals, and what they are called: uWSGI's rules.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::Path};

use liege_core::Name;

/// What a file is to a monitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A vassal of this name.
    Vassal(Name),
    /// uWSGI would read it, liege reads INI only.
    OtherFormat,
    /// It would be a vassal, but for its name: what is wrong with it, and the name to tell.
    Unusable(Name, &'static str),
    /// None of our business.
    Ignored,
}

/// The rules of one monitor.
#[derive(Clone, Debug)]
pub(super) struct Naming {
    /// The vassal is called by its file name. Else by its path, because two directories may hold the same name.
    pub(super) short: bool,
    /// Further suffixes.
    pub(super) extra: Vec<String>,
}

/// uWSGI's limit.
const TOO_LONG: usize = 255;
const OTHER_FORMATS: [&str; 5] = [".xml", ".yml", ".yaml", ".js", ".json"];

impl Naming {
    /// Judges a file by its path alone.
    pub(super) fn judge(&self, path: &Path) -> Verdict {
        let Some(bytes) = path.file_name().map(OsStr::as_bytes) else { return Verdict::Ignored };
        let ends_in = |suffix: &str| bytes.ends_with(suffix.as_bytes()) && bytes.len() > suffix.len();
        let is_meant = ends_in(".ini") || self.extra.iter().any(|suffix| ends_in(suffix));
        let (Some(path), Some(file)) = (path.to_str(), path.file_name().and_then(OsStr::to_str)) else {
            // Names are text: in logs, labels and JSON.
            return self.unusable(is_meant, path, "its name is no UTF-8");
        };
        if file.len() >= TOO_LONG {
            return self.unusable(is_meant, path.as_ref(), "its name is longer than 254 bytes");
        }
        if is_meant {
            Verdict::Vassal(if self.short { file.into() } else { path.into() })
        } else if OTHER_FORMATS.iter().any(|suffix| ends_in(suffix)) {
            Verdict::OtherFormat
        } else {
            Verdict::Ignored
        }
    }

    /// As an operator would write the name in a shell.
    fn unusable(&self, is_meant: bool, path: &Path, why: &'static str) -> Verdict {
        let shown = if self.short { path.file_name().unwrap_or_default() } else { path.as_os_str() };
        let name = shown.as_bytes().escape_ascii().to_string();
        if is_meant { Verdict::Unusable(name.as_str().into(), why) } else { Verdict::Ignored }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(short: bool, path: &str) -> Verdict {
        Naming { short, extra: vec![".conf".to_owned()] }.judge(path.as_ref())
    }

    #[test]
    fn the_suffix_decides() {
        assert_eq!(judge(true, "/d/a.ini"), Verdict::Vassal("a.ini".into()));
        assert_eq!(judge(false, "/d/a.ini"), Verdict::Vassal("/d/a.ini".into()));
        assert_eq!(judge(true, "/d/a.conf"), Verdict::Vassal("a.conf".into()));
        assert_eq!(judge(true, "/d/.a.ini"), Verdict::Vassal(".a.ini".into()));
        assert_eq!(judge(true, "/d/a.yaml"), Verdict::OtherFormat);
        for other in ["/d/a.ini~", "/d/a.ini.swp", "/d/.ini", "/d/4913", "/d/..data"] {
            assert_eq!(judge(true, other), Verdict::Ignored, "{other}");
        }
    }

    #[test]
    fn a_name_of_255_bytes_is_none() {
        let name = |n: usize| format!("/d/{}.ini", "x".repeat(n - 4));
        assert!(matches!(judge(true, &name(254)), Verdict::Vassal(_)));
        assert!(matches!(judge(true, &name(255)), Verdict::Unusable(..)));
        assert_eq!(judge(true, &name(255).replace(".ini", ".txt")), Verdict::Ignored);
        let naming = Naming { short: true, extra: Vec::new() };
        let verdict = naming.judge(Path::new(OsStr::from_bytes(b"/d/caf\xe9.ini")));
        assert_eq!(verdict, Verdict::Unusable("caf\\xe9.ini".into(), "its name is no UTF-8"));
        assert_eq!(naming.judge(Path::new(OsStr::from_bytes(b"/d/caf\xe9.txt"))), Verdict::Ignored);
    }
}
