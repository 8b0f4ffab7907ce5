//! Which files are vassals, and what they are called: uWSGI's rules.

use std::path::Path;

use liege_core::Name;

/// What a file is to a monitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A vassal of this name.
    Vassal(Name),
    /// uWSGI would read it, liege reads INI only.
    OtherFormat,
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
        let (Some(path), Some(file)) = (path.to_str(), path.file_name().and_then(|name| name.to_str())) else {
            return Verdict::Ignored; // names are text: in logs, labels and JSON
        };
        if file.len() >= TOO_LONG {
            return Verdict::Ignored;
        }
        let ends_in = |suffix: &str| file.ends_with(suffix) && file.len() > suffix.len();
        if ends_in(".ini") || self.extra.iter().any(|suffix| ends_in(suffix)) {
            Verdict::Vassal(if self.short { file.into() } else { path.into() })
        } else if OTHER_FORMATS.iter().any(|suffix| ends_in(suffix)) {
            Verdict::OtherFormat
        } else {
            Verdict::Ignored
        }
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
        assert_eq!(judge(true, &name(255)), Verdict::Ignored);
    }
}
