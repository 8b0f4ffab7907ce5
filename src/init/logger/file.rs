//! The file: opened when it is needed, added to, put aside when it is full.
//!
//! `log` is the newest, `log.1` the one before it, and so on. Somebody else may take the file away, rename it or empty it: the next
//! write sees it.

use std::{
    fs::File,
    io::Write,
    os::{fd::BorrowedFd, unix::fs::MetadataExt},
};

use liege_sys::{Errno, dir};

/// The newest.
const NAME: &str = "log";

/// The file of a log.
#[derive(Debug)]
pub(super) struct LogFile<'a> {
    directory: BorrowedFd<'a>,
    size: u64,
    keep: u32,
    open: Option<File>,
    /// The last write stopped within a line.
    torn: bool,
}

impl<'a> LogFile<'a> {
    pub(super) fn new(directory: BorrowedFd<'a>, size: u64, keep: u32) -> Self {
        Self { directory, size, keep, open: None, torn: false }
    }

    /// Adds whole lines.
    ///
    /// # Errors
    /// What the file system answers. A part may have been written; the next write begins a new line.
    pub(super) fn write(&mut self, lines: &[u8]) -> Result<(), Errno> {
        let seen = self.open.as_ref().and_then(|file| file.metadata().ok());
        let mut filled = match seen {
            Some(seen) if dir::identity(&self.directory, NAME) == Ok((seen.dev(), seen.ino())) => seen.len(),
            _ => self.begin()?,
        };
        if std::mem::replace(&mut self.torn, false) && filled > 0 {
            self.add(b"\n")?;
        }
        let mut rest = lines;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(fitting(rest, self.size.saturating_sub(filled), filled == 0));
            if now.is_empty() {
                self.turn()?;
                filled = 0;
            } else {
                self.add(now)?;
                filled += now.len() as u64;
                rest = later;
            }
        }
        Ok(())
    }

    fn add(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        let mut file = self.open.as_ref().ok_or(Errno::EBADF)?;
        file.write_all(bytes).map_err(|error| {
            self.torn = true;
            error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
        })
    }

    /// Opens the newest; gives how much is in it.
    fn begin(&mut self) -> Result<u64, Errno> {
        let file = dir::append(self.directory, NAME)?;
        let filled = file.metadata().map_or(0, |seen| seen.len());
        self.open = Some(file);
        Ok(filled)
    }

    /// Puts the full one aside and the oldest away.
    fn turn(&mut self) -> Result<(), Errno> {
        for number in (1..self.keep).rev() {
            there(dir::rename(&self.directory, &aside(number), &aside(number + 1)))?;
        }
        match self.keep {
            0 => there(dir::remove(&self.directory, NAME))?,
            _ => there(dir::rename(&self.directory, NAME, &aside(1)))?,
        }
        // Those of a time when more were kept.
        let mut number = self.keep + 1;
        while dir::remove(&self.directory, &aside(number)).is_ok() {
            number += 1;
        }
        self.begin().map(drop)
    }
}

/// How many bytes of these lines there is room for, whole lines only; one at least, where one must be taken.
fn fitting(lines: &[u8], room: u64, one_at_least: bool) -> usize {
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    if lines.len() <= room {
        return lines.len();
    }
    let end_of_line = |byte: &u8| *byte == b'\n';
    match lines[..room].iter().rposition(end_of_line) {
        Some(end) => end + 1,
        None if one_at_least => lines.iter().position(end_of_line).map_or(lines.len(), |end| end + 1),
        None => 0,
    }
}

fn aside(number: u32) -> String {
    format!("{NAME}.{number}")
}

/// What is not there needs no other name.
fn there(answer: Result<(), Errno>) -> Result<(), Errno> {
    match answer {
        Err(Errno::ENOENT) => Ok(()),
        answer => answer,
    }
}

#[cfg(test)]
mod tests {
    use super::fitting;

    #[test]
    fn whole_lines_only_and_one_at_least_where_there_must_be() {
        for (lines, room, must, fits) in [
            ("ab\ncd\n", 6, false, 6),
            ("ab\ncd\n", 5, false, 3),
            ("ab\ncd\n", 2, false, 0),
            ("ab\ncd\n", 2, true, 3),
            ("ab\ncd\n", 0, true, 3),
            ("", 0, true, 0),
        ] {
            assert_eq!(fitting(lines.as_bytes(), room, must), fits, "{lines:?} {room} {must}");
        }
    }
}
