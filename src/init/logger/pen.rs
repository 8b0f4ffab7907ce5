//! What is written, line by line, and what is not: too much, or impossible.

use std::{
    fs::File,
    io::Write,
    os::fd::BorrowedFd,
    time::{Duration, Instant, SystemTime},
};

use liege_plan::{Log, Sink, stamp};
use liege_sys::{Errno, stream};

use super::{file::LogFile, limit::Limit};

/// The name of our own lines.
const OWN: &str = "liege";
/// How often a place that refuses is tried again, and how often what was dropped is told.
const PAUSE: Duration = Duration::from_secs(1);

/// The pen.
pub(super) struct Pen<'a> {
    place: Place<'a>,
    rate: u64,
    limit: Limit,
    /// Where init hears what is wrong.
    line: BorrowedFd<'a>,
    stamp: String,
    page: Vec<u8>,
    on_page: Missing,
    dropped: Missing,
    told: Instant,
    lost: Missing,
    /// Why the place refuses, and since when.
    refused: Option<(Errno, Instant)>,
}

enum Place<'a> {
    File(LogFile<'a>),
    /// Takes lines and gives them their time itself.
    Lines(Option<File>),
}

/// So much is not there.
#[derive(Clone, Copy, Debug, Default)]
struct Missing {
    lines: u64,
    bytes: u64,
}

impl Missing {
    fn add(&mut self, lines: u64, bytes: usize) {
        self.lines += lines;
        self.bytes += bytes as u64;
    }
}

impl<'a> Pen<'a> {
    pub(super) fn new(place: BorrowedFd<'a>, log: Log, line: BorrowedFd<'a>) -> Self {
        let now = Instant::now();
        Self {
            place: match log.sink {
                Sink::Directory { size, keep } => Place::File(LogFile::new(place, size, keep)),
                Sink::Lines => Place::Lines(place.try_clone_to_owned().ok().map(File::from)),
            },
            rate: log.rate,
            limit: Limit::new(log.rate, now),
            line,
            stamp: stamp(SystemTime::now()),
            page: Vec::new(),
            on_page: Missing::default(),
            dropped: Missing::default(),
            told: now,
            lost: Missing::default(),
            refused: None,
        }
    }

    /// One line of a source, or the piece that continues it.
    pub(super) fn line(&mut self, source: &str, line: &[u8], goes_on: bool) {
        if !self.limit.admits(line.len() + 1, Instant::now()) {
            self.dropped.add(1, line.len() + 1);
            return;
        }
        self.put(source, if goes_on { "+ " } else { ": " }, line);
    }

    /// Lines come now.
    pub(super) fn look_at_the_clock(&mut self) {
        self.stamp = stamp(SystemTime::now());
    }

    /// What was put on the page since the last time, to its place.
    pub(super) fn write(&mut self) {
        let Missing { lines, .. } = std::mem::take(&mut self.on_page);
        let page = std::mem::take(&mut self.page);
        match self.refused {
            None if page.is_empty() => {}
            None => self.try_to_write(&page, lines),
            Some((_, since)) if since.elapsed() < PAUSE => self.lost.add(lines, page.len()),
            Some((errno, _)) => {
                let Missing { lines: lost, bytes } = self.lost;
                self.say(&format!("{lost} lines ({bytes} bytes) could not be written: {}", errno.desc()));
                self.on_page = Missing::default();
                let with_notice = [std::mem::take(&mut self.page), page].concat();
                self.try_to_write(&with_notice, lines);
            }
        }
    }

    fn try_to_write(&mut self, page: &[u8], lines: u64) {
        match self.place.write(page) {
            Ok(()) => (self.refused, self.lost) = (None, Missing::default()),
            Err(errno) => {
                self.lost.add(lines, page.len());
                if self.refused.is_none_or(|(before, _)| before != errno) {
                    stream::write(&self.line, &(errno as i32).to_ne_bytes());
                }
                self.refused = Some((errno, Instant::now()));
            }
        }
    }

    /// What is to be told of what was dropped, when it is time or the last chance; and another try where the place refuses.
    pub(super) fn put_down(&mut self, at_last: bool) {
        self.look_at_the_clock();
        if self.dropped.lines > 0 && (at_last || self.told.elapsed() >= PAUSE) {
            let Missing { lines, bytes } = std::mem::take(&mut self.dropped);
            self.told = Instant::now();
            let rate = self.rate;
            self.say(&format!("{lines} lines ({bytes} bytes) were dropped: more than {rate} bytes a second (vassal-log-rate)"));
        }
        self.write();
    }

    /// How soon there is something to tell.
    pub(super) fn owes_word(&self) -> Option<Duration> {
        (self.dropped.lines > 0 || self.refused.is_some()).then_some(PAUSE)
    }

    fn say(&mut self, what: &str) {
        self.put(OWN, ": ", what.as_bytes());
    }

    fn put(&mut self, source: &str, mark: &str, line: &[u8]) {
        if matches!(self.place, Place::File(_)) {
            self.page.extend_from_slice(self.stamp.as_bytes());
            self.page.push(b' ');
        }
        self.page.extend_from_slice(source.as_bytes());
        self.page.extend_from_slice(mark.as_bytes());
        self.page.extend_from_slice(line);
        self.page.push(b'\n');
        self.on_page.lines += 1;
    }
}

impl Place<'_> {
    fn write(&mut self, page: &[u8]) -> Result<(), Errno> {
        match self {
            Self::File(file) => file.write(page),
            Self::Lines(None) => Err(Errno::EMFILE),
            Self::Lines(Some(socket)) => {
                socket.write_all(page).map_err(|error| error.raw_os_error().map_or(Errno::EPIPE, Errno::from_raw))
            }
        }
    }
}
