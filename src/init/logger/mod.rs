//! The child that writes a vassal's log: out of the pipes, a stamp and a name before each line, into a file or the journal.
//!
//! It reads as fast as anybody can write, so that nobody who writes has to wait; what comes faster than the rules allow, or
//! cannot be written because the disk is full or there is no log yet, is dropped and counted, and the log says how much. It leaves when
//! init lets go of the line between them, with the pipes empty; and when nobody has said anything for a while. A byte on that line says
//! that a run of the app begins: what is told of it is told anew.
//!
//! A disk that does not answer at all holds it up in the middle of a write, and then whoever has filled his pipe. The journal, a
//! socket, holds up nobody.

mod file;
mod last;
mod limit;
mod lines;
mod notice;
mod pen;
mod word;

use std::{
    os::fd::BorrowedFd,
    time::{Duration, Instant},
};

use liege_plan::{Log, Notice};
use liege_sys::{
    caps, pipe,
    poll::{Interest, poll},
    process, stream,
    stream::Read,
};

use last::Last;
pub(crate) use last::tells_more;
use lines::Lines;
use notice::Announced;
pub(crate) use pen::Missing;
use pen::Pen;
pub(crate) use word::Word;

use crate::output::APP;

/// After so much silence it leaves: its successor may write as much at once as it may itself by then.
const SILENCE: Duration = limit::AT_ONCE;
/// A line that was begun and not ended is written as it is after so long.
const UNFINISHED: Duration = Duration::from_secs(1);
/// At its end it reads so much of each source: more than a pipe holds.
const LAST: usize = 2 << 20;

/// One pipe.
struct Source<'a> {
    name: &'static str,
    pipe: BorrowedFd<'a>,
    lines: Lines,
    /// What it said last, blank lines apart.
    last: Last,
    /// What kinds of lines of this run of the app init has been told of, and when.
    noticed: Vec<(Notice, Instant)>,
    announced: Announced,
    ended: bool,
}

/// Writes until it is asked to finish, or nobody says anything; without a place it reads and counts. `lost`: what those before it could not
/// write. Gives an exit status.
pub(crate) fn write(
    place: Option<BorrowedFd<'_>>,
    log: Log,
    lost: Missing,
    line: BorrowedFd<'_>,
    sources: &[(&'static str, BorrowedFd<'_>)],
) -> i32 {
    process::set_name(c"liege-log");
    let _ = caps::keep(0); // the place is open, and root's
    let mut pen = Pen::new(place, log, lost, line);
    let mut sources: Vec<_> = sources
        .iter()
        .map(|&(name, pipe)| Source {
            name,
            pipe,
            lines: Lines::default(),
            last: Last::default(),
            noticed: Vec::new(),
            announced: Announced::default(),
            ended: false,
        })
        .collect();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let mut interests = vec![Interest::readable(line)];
        let open: Vec<usize> = (0..sources.len()).filter(|index| !sources[*index].ended).collect();
        interests.extend(open.iter().map(|index| Interest::readable(sources[*index].pipe)));
        let begun = sources.iter().filter_map(|source| source.lines.begun_at()).min();
        let unfinished = begun.map(|begun| (begun + UNFINISHED).saturating_duration_since(Instant::now()));
        let patience = unfinished.into_iter().chain(pen.owes_word()).min().unwrap_or(SILENCE);
        let Ok(ready) = poll(&interests, Some(patience)) else { return 1 };
        // Always read: init says that a run begins before the app can have said anything in it.
        let word = stream::read(&line, &mut [0; 8]);
        if matches!(word, Read::Bytes(_)) {
            sources.iter_mut().for_each(|source| source.noticed.clear());
        }
        let finish = word == Read::Ended;
        let silent = !ready.contains(&true);
        for (index, _) in open.iter().zip(&ready[1..]).filter(|(_, ready)| **ready || finish) {
            sources[*index].read(&mut buffer, if finish { LAST } else { 0 }, &mut pen);
        }
        let now = Instant::now();
        let waits = |source: &&mut Source<'_>| source.lines.begun_at().is_some_and(|begun| now >= begun + UNFINISHED);
        for source in sources.iter_mut().filter(|source| finish || waits(source)) {
            source.finish(&mut pen);
        }
        pen.put_down(finish);
        if finish || silent && patience == SILENCE {
            // Init still listens, to hear why what it waits for has failed.
            for (source, of) in (0..).zip(&sources) {
                let told = of.last.telling().map(|(text, at)| Word::Last { source, ago: at.elapsed(), text: text.to_owned() });
                told.iter().for_each(|word| word.say(&line));
            }
            pen.lost().map(Word::Lost).iter().for_each(|word| word.say(&line));
            return 0;
        }
    }
}

impl Source<'_> {
    /// Reads once, or until so much was read or nothing is left.
    fn read(&mut self, buffer: &mut [u8], at_most: usize, pen: &mut Pen<'_>) {
        let mut total = 0;
        loop {
            match pipe::read(&self.pipe, buffer) {
                Read::Bytes(n) => {
                    pen.look_at_the_clock();
                    let Self { name, lines, last, noticed, announced, .. } = self;
                    lines.take(&buffer[..n], |line, goes_on| heard(name, (last, noticed, announced), pen, line, goes_on));
                    pen.write();
                    total += n;
                }
                Read::Nothing => return,
                Read::Ended => {
                    self.finish(pen);
                    self.ended = true;
                    return;
                }
            }
            if total >= at_most {
                return;
            }
        }
    }

    /// What was begun is a line as it is.
    fn finish(&mut self, pen: &mut Pen<'_>) {
        let Self { name, lines, last, noticed, announced, .. } = self;
        lines.finish(|line, goes_on| heard(name, (last, noticed, announced), pen, line, goes_on));
    }
}

/// One line, or a piece of one: written, and remembered where it says something.
fn heard(
    name: &str,
    (last, noticed, announced): (&mut Last, &mut Vec<(Notice, Instant)>, &mut Announced),
    pen: &mut Pen<'_>,
    line: &[u8],
    goes_on: bool,
) {
    if let Some(quoted) = word::quoted(line).filter(|_| !goes_on) {
        if name == APP
            && let Some(notice) = announced.of(line)
            && !noticed.iter().any(|(other, at)| *other == notice && at.elapsed() < notice::apart(notice))
        {
            noticed.retain(|(other, _)| *other != notice);
            noticed.push((notice, Instant::now()));
            pen.notice(notice, last.with_reason(&quoted));
        }
        last.hear(quoted, Instant::now());
    }
    pen.line(name, line, goes_on);
}
