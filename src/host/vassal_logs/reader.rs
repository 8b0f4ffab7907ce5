//! A log read in order, over all the files it was put aside in, and on into what is being written.
//!
//! Which file is which is told by device and inode: names move while one reads. So does the directory, when its name comes to be
//! somebody else's: it is opened once, and what is read is always of the one vassal.

use std::{
    fs::{File, Metadata},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, openat},
    sys::stat::Mode,
};

use super::directory;

/// Read backwards in pieces of this size.
const BLOCK: usize = 64 << 10;

/// More files than this no rule lets be kept.
const MOST: u32 = 100;

/// A place in a log.
#[derive(Debug)]
pub(crate) struct Reader {
    directory: File,
    /// None: nothing was written so far.
    file: Option<File>,
    /// A newer one is there, so nothing is added to this one any more: what is in it now is all.
    is_put_aside: bool,
    /// What was to be read next is there no more.
    has_gap: bool,
}

impl Reader {
    /// Before the last so many lines; None: at the beginning of all there is.
    ///
    /// # Errors
    /// There is no such directory, or it cannot be read.
    pub(crate) fn before(directory: &Path, lines: Option<usize>) -> io::Result<Self> {
        let directory = File::options().read(true).custom_flags(OFlag::O_DIRECTORY.bits()).open(directory)?;
        let mut missing = lines.unwrap_or(usize::MAX);
        let mut place = None;
        for (mut file, _) in files(&directory)? {
            let offset = back(&file, &mut missing)?;
            file.seek(SeekFrom::Start(offset))?;
            place = Some(file);
            if missing == 0 {
                break;
            }
        }
        Ok(Self { directory, file: place, is_put_aside: false, has_gap: false })
    }

    /// Whether this user's vassal has said it.
    pub(crate) fn is_of(&self, uid: u32) -> bool {
        directory::is_made_for(&self.directory, Some(uid))
    }

    /// The directory, wherever it may be called what by now.
    pub(crate) fn directory(&self) -> &File {
        &self.directory
    }

    /// Whether something is missing before what was read last; once.
    pub(crate) fn take_gap(&mut self) -> bool {
        std::mem::take(&mut self.has_gap)
    }

    /// Reads on. 0: there is nothing more now.
    ///
    /// # Errors
    /// What the file system answers.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(file) = &mut self.file {
                match file.read(buffer)? {
                    0 => {}
                    n => return Ok(n),
                }
            }
            if !self.step()? {
                return Ok(0);
            }
        }
    }

    /// To the next newer file, or back to the start of one that was emptied. False: there is none.
    fn step(&mut self) -> io::Result<bool> {
        let Some(file) = &mut self.file else {
            self.file = files(&self.directory)?.pop().map(|(file, _)| file); // the oldest
            return Ok(self.file.is_some());
        };
        let here = file.metadata()?;
        if here.len() < file.stream_position()? {
            file.rewind()?;
            return Ok(true);
        }
        let mut files = files(&self.directory)?;
        let next = match files.iter().position(|(_, other)| same(other, &here)) {
            Some(0) => None,
            Some(index) => Some(files.swap_remove(index - 1).0),
            // Put aside too often meanwhile, or taken away: the oldest of those written since is the next.
            None => {
                self.has_gap = true;
                let written = |of: &Metadata| (of.mtime(), of.mtime_nsec());
                let newer = files.iter().rposition(|(_, other)| written(other) > written(&here));
                files.into_iter().nth(newer.unwrap_or(0)).map(|(file, _)| file)
            }
        };
        let there_is = next.is_some();
        // Something may have been added between the last read and the moment it was put aside: read it once more first.
        if there_is {
            if self.is_put_aside {
                self.file = next;
            }
            self.is_put_aside = !self.is_put_aside;
        }
        Ok(there_is)
    }
}

/// The files, newest first.
fn files(directory: &File) -> io::Result<Vec<(File, Metadata)>> {
    let mut files: Vec<(File, Metadata)> = Vec::new();
    for number in 0..=MOST {
        let name = if number == 0 { "log".to_owned() } else { format!("log.{number}") };
        // A vassal that is root in its own user namespace could put there what it likes: no link is followed, no fifo waited for.
        let how = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        match openat(directory, &*name, how, Mode::empty()).map(File::from) {
            Ok(file) => {
                let this = file.metadata()?;
                if !this.is_file() {
                    break;
                }
                // Put aside between two looks: it was seen under its former name.
                if !files.iter().any(|(_, other)| same(other, &this)) {
                    files.push((file, this));
                }
            }
            Err(Errno::ENOENT) if number > 0 => break,
            Err(Errno::ENOENT) => {}
            Err(Errno::ELOOP) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(files)
}

fn same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Where in a file the last so many lines begin; takes from the number those that are in it.
fn back(file: &File, lines: &mut usize) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut buffer = vec![0; BLOCK];
    let mut is_last_byte = true;
    if *lines == 0 {
        return Ok(end);
    }
    while end > 0 {
        let start = end.saturating_sub(BLOCK as u64);
        let block = &mut buffer[..(end - start) as usize];
        file.read_exact_at(block, start)?;
        for (index, byte) in block.iter().enumerate().rev() {
            // The end of the last line begins none.
            if *byte == b'\n' && !std::mem::take(&mut is_last_byte) {
                *lines -= 1;
                if *lines == 0 {
                    return Ok(start + index as u64 + 1);
                }
            }
            is_last_byte = false;
        }
        end = start;
    }
    if !is_last_byte {
        *lines -= 1; // the first line begins with the file
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn all(reader: &mut Reader) -> String {
        let (mut text, mut buffer) = (Vec::new(), [0; 7]);
        loop {
            match reader.read(&mut buffer).unwrap() {
                0 => return String::from_utf8(text).unwrap(),
                n => text.extend_from_slice(&buffer[..n]),
            }
        }
    }

    fn log(parts: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (number, text) in parts.iter().rev().enumerate() {
            let name = if number == 0 { "log".to_owned() } else { format!("log.{number}") };
            fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    #[test]
    fn the_last_lines_are_found_over_all_files() {
        let dir = log(&["a\nb\n", "c\nd\n", "e\nf"]);
        for (lines, text) in [
            (Some(0), ""),
            (Some(1), "f"),
            (Some(2), "e\nf"),
            (Some(3), "d\ne\nf"),
            (Some(4), "c\nd\ne\nf"),
            (Some(5), "b\nc\nd\ne\nf"),
            (Some(100), "a\nb\nc\nd\ne\nf"),
            (None, "a\nb\nc\nd\ne\nf"),
        ] {
            assert_eq!(all(&mut Reader::before(dir.path(), lines).unwrap()), text, "{lines:?}");
        }
        let long = format!("{}\nlast\n", "x".repeat(3 * BLOCK));
        assert_eq!(all(&mut Reader::before(log(&[&long]).path(), Some(1)).unwrap()), "last\n");
        assert_eq!(all(&mut Reader::before(log(&[&long]).path(), Some(2)).unwrap()), long);
    }

    #[test]
    fn reading_goes_on_through_a_turn_of_the_files() {
        let dir = log(&["a\n"]);
        let mut reader = Reader::before(dir.path(), None).unwrap();
        assert_eq!(all(&mut reader), "a\n");
        let path = |name: &str| dir.path().join(name);
        fs::write(path("log"), "a\nb\n").unwrap();
        fs::rename(path("log"), path("log.2")).unwrap();
        fs::write(path("log.1"), "c\n").unwrap();
        fs::write(path("log"), "d\n").unwrap();
        assert_eq!(all(&mut reader), "b\nc\nd\n");
        assert!(!reader.take_gap());
        fs::remove_file(path("log")).unwrap();
        fs::write(path("log"), "e\n").unwrap();
        assert_eq!(all(&mut reader), "e\n", "somebody took it away");
        assert!(reader.take_gap() && !reader.take_gap());
        fs::write(path("log"), "").unwrap();
        assert_eq!(all(&mut reader), "", "somebody emptied it");
        fs::write(path("log"), "f").unwrap();
        assert_eq!(all(&mut reader), "f");
    }

    #[test]
    fn what_was_added_at_the_last_moment_is_read() {
        let dir = log(&["a\n"]);
        let mut reader = Reader::before(dir.path(), None).unwrap();
        let mut buffer = [0; 2];
        assert_eq!(reader.read(&mut buffer).unwrap(), 2);
        // The end was seen; then these happen before the next look at the names.
        let mut end = [0; 8];
        assert_eq!(reader.file.as_mut().unwrap().read(&mut end).unwrap(), 0);
        fs::write(dir.path().join("log"), "a\nlate\n").unwrap();
        fs::rename(dir.path().join("log"), dir.path().join("log.1")).unwrap();
        fs::write(dir.path().join("log"), "next\n").unwrap();
        assert!(reader.step().unwrap());
        assert_eq!(all(&mut reader), "late\nnext\n");
    }

    #[test]
    fn who_is_far_behind_goes_on_with_the_oldest_there_is() {
        let dir = log(&["a\n"]);
        let mut reader = Reader::before(dir.path(), None).unwrap();
        assert_eq!(all(&mut reader), "a\n");
        let path = |name: &str| dir.path().join(name);
        let since = fs::metadata(path("log")).unwrap().modified().unwrap();
        fs::remove_file(path("log")).unwrap();
        for (name, text, after) in [("log.2", "old\n", 0), ("log.1", "c\n", 1), ("log", "d\n", 2)] {
            fs::write(path(name), text).unwrap();
            let modified = since + std::time::Duration::from_secs(after);
            File::options().write(true).open(path(name)).unwrap().set_modified(modified).unwrap();
        }
        assert_eq!((all(&mut reader), reader.take_gap()), ("c\nd\n".to_owned(), true));
    }

    #[test]
    fn what_is_no_file_ends_the_row() {
        for plant in ["log", "log.1"] {
            let dir = log(&["a\n", "b\n", "c\n"]);
            let path = dir.path().join(plant);
            fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
            let front = if plant == "log" { "" } else { "c\n" };
            assert_eq!(all(&mut Reader::before(dir.path(), None).unwrap()), front, "a link at {plant}");
            fs::remove_file(&path).unwrap();
            nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
            assert_eq!(all(&mut Reader::before(dir.path(), None).unwrap()), front, "a fifo at {plant}");
        }
    }

    #[test]
    fn what_is_not_there_yet_may_come() {
        let dir = log(&[]);
        let mut reader = Reader::before(dir.path(), Some(10)).unwrap();
        assert_eq!(all(&mut reader), "");
        fs::write(dir.path().join("log"), "first\n").unwrap();
        assert_eq!(all(&mut reader), "first\n");
        assert!(Reader::before(&dir.path().join("nobody"), None).is_err());
    }
}
