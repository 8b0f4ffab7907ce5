//! Magic variables: `%d`, `%n`, `%%` and the like, replaced in the raw bytes of a file before anything else looks at them.
//!
//! uWSGI's table has an entry for each of the 256 byte values, and all that have no meaning are *empty*: `%Y` vanishes, and a `%`
//! at the end of a line eats the line break. `%(` alone stays, for the placeholders. Every byte of the result remembers which
//! byte of the file it came from, so that columns in messages are those of the file.
//!
//! What a variable brings in is data: a file's name may be chosen by others than its author, so neither a line break nor a `$(` in it means
//! anything.
//!
//! Lower-case names speak of the file being read, upper-case ones of the first file that was read.

use crate::Lookup;
use crate::budget::Budget;
use crate::offsets::Offsets;
use crate::paths;
use crate::text::{Mark, Text};

/// The table of one reading. It lives across includes, as uWSGI's does: `ini = :section` keeps the last file's entries.
#[derive(Clone, Debug)]
pub(crate) struct Magic {
    table: Vec<Text>,
    first_file_seen: bool,
}

/// A text after substitution.
#[derive(Debug)]
pub(crate) struct Substituted {
    /// The bytes.
    pub(crate) text: Text,
    /// For each of them, its offset in the file.
    pub(crate) from: Offsets,
    /// Offsets in the file of `%c` pairs that mean nothing and vanished.
    pub(crate) eaten: Vec<usize>,
}

/// Names that mean something, whatever their value is just now.
const KNOWN: &[u8] = b"%(vVhoOpPsSdDeEnNcCtTxXiI0123456789[kuUgGjJb";

impl Magic {
    pub(crate) fn new(lookup: &dyn Lookup) -> Self {
        let mut magic = Self { table: vec![Text::default(); 256], first_file_seen: false };
        let (uid, user, gid, group) = lookup.own_identity();
        magic.set(b'v', lookup.directory());
        magic.set(b'h', lookup.hostname());
        magic.set(b't', lookup.now().to_string());
        magic.set(b'T', lookup.now().saturating_mul(1_000_000).to_string());
        magic.set(b'k', lookup.processors().to_string());
        magic.set(b'u', uid.to_string());
        magic.set(b'U', user);
        magic.set(b'g', gid.to_string());
        magic.set(b'G', group);
        magic
    }

    fn set(&mut self, name: u8, value: impl Into<Vec<u8>>) {
        self.set_by(Mark::DATA, name, value);
    }

    fn set_by(&mut self, mark: Mark, name: u8, value: impl Into<Vec<u8>>) {
        self.table[name as usize] = Text::new(value, mark);
    }

    /// Fills in the entries of a file: `path` without its section, `section` as asked for. `template`: an included or inherited
    /// file, which never becomes the *first* one. `mark`: of its names.
    pub(crate) fn enter(&mut self, path: &str, section: Option<&str>, template: bool, mark: Mark, lookup: &dyn Lookup) {
        if paths::has_scheme(path) || path == "-" {
            self.set_by(mark, b'o', path);
            return;
        }
        if path.is_empty() {
            self.set(b'o', "");
        } else {
            self.enter_file(path, mark, lookup);
        }
        self.set_by(mark, b'x', section.unwrap_or_default());
        if !self.first_file_seen && !template {
            for name in *b"odspcenxij" {
                self.table[name.to_ascii_uppercase() as usize] = self.table[name as usize].clone();
            }
            self.first_file_seen = true;
        }
    }

    fn enter_file(&mut self, path: &str, mark: Mark, lookup: &dyn Lookup) {
        let full = lookup.full_path(path);
        let split = full.rfind('/').map_or(0, |at| at + 1);
        let (directory, name) = full.split_at(split);
        let parent = directory.trim_end_matches('/');
        // uWSGI's Emperor is in the directory of its vassals and names a file there as it stands.
        let given = path.strip_prefix(lookup.directory().trim_end_matches('/')).and_then(|rest| rest.strip_prefix('/'));
        self.set_by(mark, b'o', given.filter(|name| !name.contains('/')).unwrap_or(path));
        self.set_by(mark, b'p', full.as_str());
        self.set(b'j', paths::hash_in_hex(full.as_bytes()));
        self.set(b'i', lookup.inode(&full).map(|inode| (inode as i32).to_string()).unwrap_or_default());
        self.set_by(mark, b's', name);
        self.set_by(mark, b'd', directory);
        self.set_by(mark, b'c', parent.rsplit('/').next().unwrap_or_default());
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
        self.set_by(mark, b'n', stem);
        self.set_by(mark, b'e', extension);
        let mut parts = directory.split('/').filter(|part| !part.is_empty());
        for digit in b'0'..=b'9' {
            self.set_by(mark, digit, parts.next().unwrap_or_default());
        }
    }

    /// Finds out what costs more than a look, if this text asks for it: where uwsgi lies, and which one it is.
    pub(crate) fn inquire(&mut self, text: &[u8], lookup: &dyn Lookup) {
        let asks = |variable: &[u8]| text.windows(2).any(|pair| pair == variable);
        if asks(b"%V") {
            self.set(b'V', lookup.uwsgi_version());
        }
        // As everything that is filled in with a file.
        if asks(b"%b") && !self.table[b'p' as usize].is_empty() {
            self.set(b'b', lookup.uwsgi_binary());
        }
    }

    /// Replaces every `%c` in a file's bytes, which are marked so.
    /// Ends early where the budget does.
    pub(crate) fn substitute(&self, text: &[u8], mark: Mark, budget: &Budget<'_>) -> Substituted {
        let mut out = Substituted { text: Text::with_capacity(text.len()), from: Offsets::default(), eaten: Vec::new() };
        let mut at = 0;
        while at < text.len() {
            if text[at] == b'%' {
                // A `%` as the very last byte meets uWSGI's closing zero byte, which means nothing either.
                let name = text.get(at + 1).copied().unwrap_or(0);
                if !KNOWN.contains(&name) {
                    out.eaten.push(at);
                }
                // Only another way to write a sign: the author's own.
                let sign: Option<&[u8]> = match name {
                    b'%' => Some(b"%"),
                    b'(' => Some(b"%("),
                    b'[' => Some(b"\x1b"),
                    _ => None,
                };
                let value = sign.map_or_else(|| self.table[name as usize].clone(), |sign| Text::new(sign, mark));
                if !budget.make(value.len()) {
                    break;
                }
                out.text.append(&value);
                // `%(` keeps two columns apart: the value of a placeholder starts where it stands.
                if name == b'(' {
                    out.from.straight(value.len(), at)
                } else {
                    out.from.made(value.len(), at)
                }
                at += 2;
            } else {
                let end = text[at..].iter().position(|byte| *byte == b'%').map_or(text.len(), |next| at + next);
                out.text.append_bytes(&text[at..end], mark);
                out.from.straight(end - at, at);
                at = end;
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TableLookup;

    fn substituted(text: &str) -> String {
        let lookup = TableLookup::default();
        let mut magic = Magic::new(&lookup);
        magic.enter("/etc/vassals/shop.v2.ini", None, false, Mark::DATA, &lookup);
        magic.inquire(text.as_bytes(), &lookup);
        magic.substitute(text.as_bytes(), Mark::ROOTS, &Budget::new(&lookup)).text.lossy()
    }

    #[test]
    fn the_table() {
        for (text, meant) in [
            ("%d|%s|%n|%e|%c", "/etc/vassals/|shop.v2.ini|shop.v2|ini|vassals"),
            ("%0 %1 %2", "etc vassals "),
            ("100%%", "100%"),
            ("%(x)", "%(x)"),
            ("%%(x)", "%(x)"),
            ("%Y-%m", "-"),
            ("a %\nb", "a b"),
            ("end%", "end"),
            ("%P", "/etc/vassals/shop.v2.ini"),
            ("%b %V", "/usr/bin/uwsgi 2.0.21"),
        ] {
            assert_eq!(substituted(text), meant, "{text:?}");
        }
    }

    #[test]
    fn every_byte_knows_where_it_came_from() {
        let lookup = TableLookup::default();
        let out = Magic::new(&lookup).substitute(b"%%a%(b)%Yc", Mark::ROOTS, &Budget::new(&lookup));
        assert_eq!(out.text.bytes(), b"%a%(b)c");
        let from: Vec<_> = (0..out.text.len()).map_while(|at| out.from.get(at)).collect();
        assert_eq!(from, [0, 2, 3, 4, 5, 6, 9]);
        assert_eq!(out.eaten, [7]);
    }
}
