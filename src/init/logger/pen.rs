//! What is written, line by line, and what is not: too much, or impossible.

use std::{
    os::fd::BorrowedFd,
    time::{Duration, Instant, SystemTime},
};

use liege_plan::{Log, Notice, Sink, stamp};
use liege_sys::{Errno, stream};

use super::{file::LogFile, limit::Limit, word::Word};

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
    lines_on_page: u64,
    dropped: Missing,
    told: Instant,
    lost: Missing,
    /// Why the place refuses (None: it was not there when this pen's predecessor wrote), and since when.
    refused: Option<(Option<Errno>, Instant)>,
}

enum Place<'a> {
    /// It could not be had yet: all is lost, and counted.
    Nowhere,
    File(LogFile<'a>),
    /// Takes lines and gives them their time itself. What did not fit is the front of what comes next.
    Lines {
        socket: BorrowedFd<'a>,
        rest: Vec<u8>,
    },
}

/// So much is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(super) lines: u64,
    pub(super) bytes: u64,
}

impl Missing {
    fn add(&mut self, lines: u64, bytes: usize) {
        self.lines += lines;
        self.bytes += bytes as u64;
    }
}

impl<'a> Pen<'a> {
    /// `lost`: what its predecessors could not write.
    pub(super) fn new(place: Option<BorrowedFd<'a>>, log: Log, lost: Missing, line: BorrowedFd<'a>) -> Self {
        let now = Instant::now();
        let is_owed = place.is_some() && lost.lines > 0;
        Self {
            place: match (place, log.sink) {
                (None, _) => Place::Nowhere,
                (Some(place), Sink::Directory { size, keep }) => Place::File(LogFile::new(place, size, keep)),
                (Some(socket), Sink::Lines) => Place::Lines { socket, rest: Vec::new() },
            },
            rate: log.rate,
            limit: Limit::new(log.rate, now),
            line,
            stamp: stamp(SystemTime::now()),
            page: Vec::new(),
            lines_on_page: 0,
            dropped: Missing::default(),
            told: now,
            lost,
            refused: is_owed.then(|| (None, now.checked_sub(PAUSE).unwrap_or(now))),
        }
    }

    /// One line of a source, or the piece that continues it.
    pub(super) fn line(&mut self, source: &str, line: &[u8], goes_on: bool) {
        if matches!(self.place, Place::Nowhere) {
            self.lost.add(1, line.len() + 1);
            return;
        }
        // With what is put before it: an empty line is no small thing.
        let bytes = self.stamp.len() + 1 + source.len() + 2 + line.len() + 1;
        if !self.limit.admits(bytes, Instant::now()) {
            self.dropped.add(1, line.len() + 1);
            return;
        }
        self.put(source, if goes_on { "+ " } else { ": " }, line);
    }

    /// Init is told of a line that says something.
    pub(super) fn notice(&self, notice: Notice, text: String) {
        Word::Noticed(notice, text).say(&self.line);
    }

    /// Lines come now.
    pub(super) fn look_at_the_clock(&mut self) {
        self.stamp = stamp(SystemTime::now());
    }

    /// What was put on the page since the last time, to its place.
    pub(super) fn write(&mut self) {
        self.write_page(false);
    }

    fn write_page(&mut self, at_last: bool) {
        let page = std::mem::take(&mut self.page);
        let lines = std::mem::take(&mut self.lines_on_page);
        match self.refused {
            None if page.is_empty() => {}
            None => self.try_to_write(&page, &[], lines),
            Some((_, since)) if since.elapsed() < PAUSE && !at_last => self.lost.add(lines, page.len()),
            Some((errno, _)) => {
                let Missing { lines: lost, bytes } = self.lost;
                let why = errno.map_or("there was no log", |errno| errno.desc());
                self.say(&format!("{lost} lines ({bytes} bytes) could not be written: {why}"));
                self.lines_on_page = 0;
                let notice = std::mem::take(&mut self.page);
                self.try_to_write(&page, &notice, lines);
            }
        }
    }

    /// What cannot be written is counted; the notice before it is not.
    fn try_to_write(&mut self, page: &[u8], notice: &[u8], lines: u64) {
        match self.place.write(&[notice, page].concat()) {
            Ok(()) => (self.refused, self.lost) = (None, Missing::default()),
            Err(errno) => {
                self.lost.add(lines, page.len());
                if self.refused.is_none_or(|(before, _)| before != Some(errno)) {
                    Word::Refused(errno as i32).say(&self.line);
                }
                self.refused = Some((Some(errno), Instant::now()));
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
        self.write_page(at_last);
    }

    /// What was not written, for the one who writes next.
    pub(super) fn lost(&self) -> Option<Missing> {
        Some(self.lost).filter(|lost| lost.lines > 0)
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
        self.lines_on_page += 1;
    }
}

impl Place<'_> {
    fn write(&mut self, page: &[u8]) -> Result<(), Errno> {
        match self {
            Self::Nowhere => Err(Errno::ENOENT), // nothing is put on a page for it
            Self::File(file) => file.write(page),
            Self::Lines { socket, rest } => {
                if !rest.is_empty() {
                    let written = stream::write(socket, rest).ok_or(Errno::EPIPE)?;
                    rest.drain(..written);
                }
                if !rest.is_empty() {
                    return Err(Errno::EAGAIN); // whoever reads there does not: nobody here waits for him
                }
                let written = stream::write(socket, page).ok_or(Errno::EPIPE)?;
                rest.extend_from_slice(&page[written..]);
                Ok(())
            }
        }
    }
}
