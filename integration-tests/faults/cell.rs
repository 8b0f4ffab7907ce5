//! One cell of the matrix: a vassal is started, hurt, and must be served again with nothing left of its old life.

use std::fs::File;
use std::time::{Duration, Instant};

use crate::emperor::Emperor;
use crate::faults::{Fault, Filesystem, Kind, Owner, Row, Victim};
use crate::procs;
use crate::story::Host;
use crate::vassal::Vassal;
use crate::wait::{bar, breathe};

/// For everything one cell waits for: ten timeouts and a busy machine.
const LIMIT: Duration = Duration::from_secs(10);
/// What is no fault must stay none for this long: five intervals.
const QUIET: Duration = Duration::from_secs(1);

/// One fault, done to one kind of file system, mounted by somebody.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Which fault.
    pub fault: Fault,
    /// Whom it hits.
    pub victim: Victim,
}

impl Cell {
    /// Prepares one; nothing runs yet.
    #[must_use]
    pub fn new(host: &Host, fault: Fault, kind: Kind, owner: Owner) -> Self {
        let name = format!("{fault:?}-{kind:?}-{owner:?}");
        let filesystem = Filesystem::new(host, &name, kind, owner);
        let mut victim = Victim::new(host, &name, filesystem, fault.habits(), fault.pace());
        if fault == Fault::Bomb {
            let litter = host.open_dir("litter").join(&name);
            victim = victim.with(&format!("hook-pre-jail = exec:{} {} &\n", host.helper("breeder").display(), litter.display()));
        }
        Self { fault, victim }
    }

    /// Starts the vassal, hurts it so many times, takes it away. A row for each time.
    #[must_use]
    pub fn run(&self, emperor: &Emperor, rounds: usize) -> Vec<Row> {
        let (start, mut since) = (Instant::now(), emperor.mark());
        emperor.write(&self.victim.name, &self.victim.text());
        let mut rows = match self.victim.until_served(start, LIMIT) {
            Err(why) => vec![Row::failed(self, format!("at its start: {why}"))],
            Ok(birth) => {
                let mut rows = Vec::new();
                for _ in 0..rounds {
                    let mut row = Row::new(self, birth);
                    row.failure = self.hurt(emperor, &mut since, &mut row).err();
                    let over = row.failure.is_some();
                    rows.push(row);
                    if over {
                        break;
                    }
                }
                rows
            }
        };
        emperor.remove_if_there(&self.victim.name);
        // Else the same cell, run again at once, would be a touch of this file.
        let gone = format!("{}: gone", self.victim.name);
        if emperor.look_for(since, LIMIT, |line| line.contains(&gone)).is_none() {
            rows.push(Row::failed(self, "its file was taken away, and it was never gone".into()));
        }
        rows
    }

    /// `since`: where in the log the present life begins.
    fn hurt(&self, emperor: &Emperor, since: &mut usize, row: &mut Row) -> Result<(), String> {
        let vassal = self.victim.vassal(emperor)?;
        let processes = vassal.processes();
        let namespace = Namespace::of(&vassal)?;
        let outcome = self.fault.outcome();
        self.until_known_healthy(emperor, *since)?;
        let mark = emperor.mark();

        let start = Instant::now();
        let held = self.fault.inject(&self.victim, &vassal)?;
        if !outcome.destroys {
            return self.survives(emperor, &vassal, mark, start, row);
        }
        *since = mark;
        row.state = self.state(emperor, mark, outcome.states)?;
        row.known = Some(start.elapsed());
        let decided = |line: &str| line.contains(&*self.victim.name) && line.contains("destroying: ");
        emperor.look_for(mark, LIMIT, decided).ok_or("the daemon never said that it destroys it")?;
        row.decided = Some(start.elapsed());
        let cause = emperor.look_for(mark, LIMIT, |line| self.is_end(line)).ok_or("the daemon never said that it ended")?;
        row.served = Some(self.victim.until_served(start, LIMIT)?);
        let causes = outcome.states.iter().map(|state| format!("cause=mountpoint_{state}"));
        if !causes.into_iter().any(|word| cause.replace('"', "").split(' ').any(|other| other == word)) {
            return Err(format!("another cause: {cause}"));
        }
        // What is held outside is still held: the end of the old life must not depend on it.
        row.leftovers = leftovers(&processes, &namespace);
        drop(held);
        if row.leftovers.is_empty() { Ok(()) } else { Err("something of the old life is left".into()) }
    }

    /// The first probe has answered: a fault before it would find a daemon that has not seen what it watches.
    fn until_known_healthy(&self, emperor: &Emperor, since: usize) -> Result<(), String> {
        let vassal = self.victim.vassal(emperor)?;
        let known = emperor.look_for(since, LIMIT, |line| self.is_state(line, "healthy"));
        known.filter(|_| vassal.init.lives()).map(drop).ok_or_else(|| "the daemon never said that it is healthy".into())
    }

    /// What must not be destroyed: called by the right word, healthy again, and the same vassal still.
    fn survives(&self, emperor: &Emperor, vassal: &Vassal, mark: usize, start: Instant, row: &mut Row) -> Result<(), String> {
        if self.fault == Fault::Busy {
            row.state = self.state(emperor, mark, &["slow"])?;
            row.known = Some(start.elapsed());
            let mark = emperor.mark();
            self.victim.order("healthy")?;
            self.state(emperor, mark, &["healthy"])?;
        } else {
            let bad = |line: &str| ["slow", "hung", "dead", "gone"].iter().any(|state| self.is_state(line, state));
            if let Some(line) = emperor.look_for(mark, QUIET, bad) {
                return Err(format!("taken for ill: {line}"));
            }
            row.state = "healthy".into();
            self.victim.order("healthy")?;
        }
        row.served = Some(self.victim.until_served(start, LIMIT)?);
        if vassal.init.lives() { Ok(()) } else { Err("it was destroyed".into()) }
    }

    /// The first of these states the log gives the mount.
    fn state(&self, emperor: &Emperor, mark: usize, states: &[&'static str]) -> Result<String, String> {
        let fits = |line: &str| states.iter().any(|state| self.is_state(line, state));
        let Some(line) = emperor.look_for(mark, LIMIT, fits) else {
            return Err(format!("the daemon never called it {}", states.join(" or ")));
        };
        let state = states.iter().find(|state| self.is_state(&line, state));
        Ok((*state.ok_or("no state")?).to_owned())
    }

    /// `PATH is STATE`, in a line about this vassal.
    fn is_state(&self, line: &str, state: &str) -> bool {
        let sentence = format!("{} is {state}", self.victim.filesystem.mount.display());
        line.find(&sentence).is_some_and(|at| !line[at + sentence.len()..].starts_with(char::is_alphanumeric))
    }

    /// The line that says by which cause a life of this vassal ended.
    fn is_end(&self, line: &str) -> bool {
        line.contains(&*self.victim.name) && line.contains("cause=") && line.contains("ended after")
    }
}

/// A pid namespace, held by a descriptor as long as its number is used: the kernel gives numbers out again. It holds no mount.
#[derive(Debug)]
struct Namespace {
    number: u64,
    #[allow(dead_code, reason = "it is held, that is all")]
    file: File,
}

impl Namespace {
    fn of(vassal: &Vassal) -> Result<Self, String> {
        let file = File::open(format!("/proc/{}/ns/pid", vassal.init.pid)).map_err(|e| format!("its pid namespace: {e}"))?;
        let number = vassal.init.namespace("pid").ok_or("its init is gone")?;
        Ok(Self { number, file })
    }
}

/// Waits a little, then names what still lives of an old life.
fn leftovers(processes: &[procs::Process], namespace: &Namespace) -> Vec<String> {
    let start = Instant::now();
    loop {
        let inside = procs::all().into_iter().filter(|process| process.namespace("pid") == Some(namespace.number));
        let left: Vec<_> = processes.iter().filter(|process| process.lives()).cloned().chain(inside).collect();
        if left.is_empty() || start.elapsed() > bar(LIMIT) {
            return left.iter().map(|process| format!("{} {}", process.pid, process.name)).collect();
        }
        breathe(Duration::from_millis(5));
    }
}
