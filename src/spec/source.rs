//! What is read: a text, its name, and what was said besides.

use std::time::Duration;

use crate::{Code, Diagnostic, Severity};

/// A configuration file, already read.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The path as the user named it: it appears in messages and feeds the magic variables.
    pub path: &'a str,
    /// The content, byte by byte.
    pub text: &'a [u8],
    /// Pairs given outside of the file (`vassal-set` of the emperor). As in uWSGI they come *before* the file: a scalar of the
    /// file wins over them, a placeholder of theirs wins over the file's.
    pub set: &'a [(String, String)],
    /// `emperor-curse-tolerance`: the `stop-timeout` of a vassal that sets none.
    pub stop_timeout: Option<Duration>,
}

impl<'a> Source<'a> {
    /// A source without further pairs.
    #[must_use]
    pub fn new(path: &'a str, text: &'a [u8]) -> Self {
        Self { path, text, set: &[], stop_timeout: None }
    }

    /// Of the sections that are read, the one that decides what an unknown option is: liege's own where the file has it, else uWSGI's.
    #[must_use]
    pub fn section(&self, [uwsgi, own]: [&'static str; 2]) -> &'static str {
        let is_own = |line: &[u8]| line.trim_ascii() == format!("[{own}]").as_bytes();
        if self.text.split(|byte| *byte == b'\n').any(is_own) { own } else { uwsgi }
    }

    /// The mistake of a file that is in another form than INI: read as INI it would be one without options.
    pub(crate) fn other_format(&self) -> Option<Diagnostic> {
        let first = self.text.trim_ascii_start();
        let ends_in = |suffixes: &[&str]| suffixes.iter().any(|suffix| self.path.ends_with(suffix));
        let form = match first.first() {
            Some(b'{') => "JSON",
            Some(b'<') => "XML",
            _ if first.starts_with(b"---") => "YAML",
            _ if ends_in(&[".json", ".js"]) => "JSON",
            _ if ends_in(&[".yml", ".yaml"]) => "YAML",
            _ if ends_in(&[".xml"]) => "XML",
            _ => return None,
        };
        let message = format!("is {form}: liege reads configurations in INI form only");
        let found = Diagnostic::of_file(Severity::Error, Code::NotSupported, self.path, message);
        Some(found.with_hint("write it as NAME.ini: a line [uwsgi], then KEY = VALUE, one line for each value"))
    }

    /// A line of it by its number, as it is shown in messages.
    pub(crate) fn line(&self, number: u32) -> String {
        let index = (number as usize).wrapping_sub(1);
        let line = self.text.split(|byte| *byte == b'\n').nth(index).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        String::from_utf8_lossy(&line[..line.len().min(1024)]).into_owned()
    }
}
