//! `/proc/PID/stat`: one line about a process, and the trap in it.
//!
//! The name stands in parentheses and may hold anything, also blanks and parentheses. So the line is cut at the last one: what comes
//! after it are plain fields.

use std::{fs, str::FromStr};

use crate::escape;

/// The line of one process at one moment.
#[derive(Debug)]
pub(crate) struct Stat(String);

impl Stat {
    /// None for a process that is gone.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        read(&format!("/proc/{pid}/stat"))
    }

    /// Of a line that was read elsewhere.
    pub(crate) fn parse(line: String) -> Self {
        Self(line)
    }

    /// The first thread alone, at the price of one however many there are.
    pub(crate) fn of_first_thread(pid: i32) -> Option<Self> {
        read(&format!("/proc/{pid}/task/{pid}/stat"))
    }

    /// Its name (`comm`), which the process chooses: what would end or turn a line is escaped.
    pub(crate) fn name(&self) -> Option<String> {
        let name = self.0.rsplit_once(')')?.0.split_once('(')?.1;
        Some(escape::in_one_line(name))
    }

    /// A field by its number in proc(5), where the state is the third.
    pub(crate) fn field<T: FromStr>(&self, number: usize) -> Option<T> {
        self.0.rsplit_once(')')?.1.split_ascii_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
    }
}

/// A name need not be UTF-8, and a process must not be overlooked for it.
fn read(path: &str) -> Option<Stat> {
    Some(Stat(String::from_utf8_lossy(&fs::read(path).ok()?).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let stat = Stat("7 (a) b (c) S 1 7 7 0".into());
        assert_eq!((stat.name().as_deref(), stat.field(3), stat.field(4)), (Some("a) b (c"), Some('S'), Some(1)));
        assert_eq!(Stat("7 (a\nb\u{202e}) S 1".into()).name().as_deref(), Some("a\\nb\\u{202e}"));
        assert_eq!(stat.field::<u64>(22), None);
    }
}
