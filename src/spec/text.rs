//! The text of a value, each byte with where it comes from.
//!
//! What a file of root's says is *text*: it is looked through for `$(`, `@(`, `%(`, for line breaks and for sections. What is put into it
//! from outside (names that a pattern found, lines and contents of files, the output of a command, variables of the environment, names
//! behind `%n` and the like) is *data*: it is never looked through, however often it is copied from one value into another. So a directory
//! called `@(exec:` is a directory. What others than root may have chosen is *foreign* besides: nothing is executed that holds any of it.

use std::ops::{BitOr, Range};

/// Where a byte comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark(u8);

const DATA: u8 = 1;
const FOREIGN: u8 = 2;
const LINES: u8 = 4;

impl Mark {
    /// Written in a file that only root may write, or on the command line.
    pub(crate) const ROOTS: Self = Self(0);
    /// Written in a file that others may write, and that is nobody else's business: it is expanded and executes nothing.
    pub(crate) const OTHERS: Self = Self(FOREIGN);
    /// Put in from outside, by root's choice.
    pub(crate) const DATA: Self = Self(DATA);
    /// Put in from outside, by the choice of others.
    pub(crate) const OTHERS_DATA: Self = Self(DATA | FOREIGN);
    /// The lines that a command of root's has written.
    pub(crate) const COMMANDS: Self = Self(DATA | LINES);
    /// The lines of a file that others may write, where a file that they may not write includes it.
    pub(crate) const OTHERS_LINES: Self = Self(DATA | FOREIGN | LINES);

    pub(crate) fn is_data(self) -> bool {
        self.0 & DATA != 0
    }

    pub(crate) fn is_foreign(self) -> bool {
        self.0 & FOREIGN != 0
    }

    fn is_of_lines(self) -> bool {
        self.0 & LINES != 0
    }

    /// Put in by the choice of others: no line that they wrote as a line.
    fn is_foreign_data(self) -> bool {
        self.0 & (DATA | FOREIGN | LINES) == DATA | FOREIGN
    }
}

/// The stricter of both.
impl BitOr for Mark {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Bytes, each with its mark. Two are equal when their bytes are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Text {
    bytes: Vec<u8>,
    marks: Vec<Mark>,
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Text {}

impl Text {
    pub(crate) fn new(bytes: impl Into<Vec<u8>>, mark: Mark) -> Self {
        let bytes = bytes.into();
        Self { marks: vec![mark; bytes.len()], bytes }
    }

    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity), marks: Vec::with_capacity(capacity) }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// As text for people, and for names of files.
    pub(crate) fn lossy(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Whether this byte stands there and means something: data means nothing.
    pub(crate) fn is_sign(&self, at: usize, sign: u8) -> bool {
        self.bytes.get(at) == Some(&sign) && !self.marks[at].is_data()
    }

    /// Whether this byte stands there and parts one line, or one half of it, from another: in lines that others wrote as well.
    pub(crate) fn parts(&self, at: usize, sign: u8) -> bool {
        self.bytes.get(at) == Some(&sign) && (!self.marks[at].is_data() || self.marks[at].is_of_lines())
    }

    /// Where such a sign stands first in a range.
    pub(crate) fn find(&self, range: Range<usize>, sign: u8) -> Option<usize> {
        range.into_iter().find(|at| self.parts(*at, sign))
    }

    pub(crate) fn slice(&self, range: Range<usize>) -> Self {
        Self { bytes: self.bytes[range.clone()].to_vec(), marks: self.marks[range].to_vec() }
    }

    pub(crate) fn append(&mut self, other: &Self) {
        self.bytes.extend_from_slice(&other.bytes);
        self.marks.extend_from_slice(&other.marks);
    }

    pub(crate) fn append_bytes(&mut self, bytes: &[u8], mark: Mark) {
        self.bytes.extend_from_slice(bytes);
        self.marks.resize(self.bytes.len(), mark);
    }

    pub(crate) fn replace(&mut self, range: Range<usize>, with: Self) {
        self.bytes.splice(range.clone(), with.bytes);
        self.marks.splice(range, with.marks);
    }

    /// The strictest mark of all bytes.
    pub(crate) fn mark(&self) -> Mark {
        self.marks.iter().fold(Mark::ROOTS, |all, one| all | *one)
    }

    /// Whether the first bytes are no data.
    pub(crate) fn is_written(&self, first: usize) -> bool {
        self.marks.iter().take(first).all(|mark| !mark.is_data())
    }

    /// Whether others have put in a byte of this kind.
    pub(crate) fn has_foreign_data(&self, is_it: impl Fn(u8) -> bool) -> bool {
        self.bytes.iter().zip(&self.marks).any(|(byte, mark)| mark.is_foreign_data() && is_it(*byte))
    }

    /// Whether data would be expanded if it were looked through.
    pub(crate) fn has_signs_in_data(&self) -> bool {
        let opens = |at: &usize| matches!(self.bytes[*at..], [b'$' | b'@' | b'%', b'(', ..]);
        (0..self.len()).filter(opens).any(|at| self.marks[at].is_data() || self.marks[at + 1].is_data())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_stays_with_its_byte_wherever_it_goes() {
        let mut text = Text::new("a%(_)z", Mark::ROOTS);
        text.replace(1..5, Text::new("@(x)", Mark::OTHERS_DATA));
        text.append(&Text::new("@(y)", Mark::ROOTS));
        assert_eq!(text.bytes(), b"a@(x)z@(y)");
        assert_eq!((text.is_sign(1, b'@'), text.find(0..10, b'@'), text.slice(1..6).find(0..5, b'z')), (false, Some(6), Some(4)));
        let lines = Text::new("a=b\n", Mark::OTHERS_LINES);
        assert_eq!((lines.find(0..4, b'\n'), lines.is_sign(1, b'=')), (Some(3), false));
        assert!(text.has_signs_in_data() && !text.slice(5..10).has_signs_in_data());
        assert!(text.has_foreign_data(|byte| byte == b'@') && !text.has_foreign_data(|byte| byte == b'y'));
    }
}
