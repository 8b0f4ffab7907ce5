//! `liege restart`: at once, or rolling with `--wait`: so many at a time, with a bar on a terminal.

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
    thread::sleep,
    time::{Duration, Instant},
};

use liege_core::{Name, Order, Phase, View};
use liege_ctl::{Client, Failure, Rolling, shown};

use crate::{
    arguments::Restart,
    orders::{ask, meant},
    remote::{answer, tell},
    say::say,
};

/// Between two looks at the daemon at least.
const LOOK: Duration = Duration::from_millis(50);
/// Of our time at most so much is spent on asking: one part in so many.
const SHARE: u32 = 10;

pub(crate) fn restart(arguments: &Restart) -> ExitCode {
    let client = Client::new(&arguments.remote.control);
    let meant = match meant(&client, &arguments.whom) {
        // Those that somebody has stopped are not meant by all.
        Ok(meant) if arguments.whom.all => client.vassals(&[], false).map(|view| {
            let is_stopped =
                |name: &Name| view.vassals.iter().any(|v| v.name == *name && v.phase == Phase::Suspended && !v.gave_up);
            meant.into_iter().filter(|name| !name.as_ref().is_ok_and(is_stopped)).collect()
        }),
        meant => meant,
    };
    if !arguments.wait {
        return ask(&client, meant, Order::Restart);
    }
    // A rolling restart of some that are not there is not what was meant: nothing is begun.
    let names = match meant.and_then(|names| names.into_iter().collect::<Result<Vec<Name>, Failure>>()) {
        Ok(names) => names,
        Err(failure) => return tell(&failure),
    };
    match roll(&client, names, arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => answer(Err(failure)),
    }
}

/// Whether all of them are up again.
fn roll(client: &Client, names: Vec<Name>, arguments: &Restart) -> Result<bool, Failure> {
    let mut bar = Bar::new(names.len());
    let mut began: Vec<(Name, Instant)> = Vec::new();
    let parallel = arguments.parallel.map_or(1, usize::from);
    let mut rolling = Rolling::new(names, parallel, arguments.keep_going, Duration::from_secs_f64(arguments.settle));
    let (mut view, mut took) = look(client)?;
    loop {
        while let Some(name) = rolling.next(&view) {
            began.push((name.clone(), Instant::now()));
            match client.order(&name, Order::Restart) {
                Ok(_) => {}
                Err(Failure::Refused { why }) => {
                    rolling.refused(&name);
                    bar.tell(&name, Err(format!("refused: {why}")), Duration::ZERO);
                }
                Err(Failure::NoSuchVassal { .. }) => {
                    rolling.refused(&name);
                    bar.tell(&name, Err("its file is gone".to_owned()), Duration::ZERO);
                }
                Err(failure) => {
                    bar.clear();
                    return Err(failure);
                }
            }
        }
        bar.show(&rolling);
        if rolling.is_over() {
            break;
        }
        sleep(LOOK.max(took * SHARE));
        match look(client) {
            Ok(looked) => (view, took) = looked,
            Err(failure) => {
                bar.clear();
                return Err(failure);
            }
        }
        for (name, outcome) in rolling.look(&view) {
            let since = began.iter().rev().find(|(other, _)| *other == name).map_or(Duration::ZERO, |(_, at)| at.elapsed());
            bar.tell(&name, outcome, since);
        }
    }
    bar.clear();
    if rolling.left() > 0 {
        eprintln!("liege: {} were not restarted, because one has failed (--keep-going goes on)", rolling.left());
    }
    Ok(!rolling.has_failed())
}

fn look(client: &Client) -> Result<(View, Duration), Failure> {
    let start = Instant::now();
    client.vassals(&[], false).map(|view| (view, start.elapsed()))
}

/// `[########--------] 12/50  shop.ini, blog.ini`, on a terminal; and a line for each that is up again.
struct Bar {
    all: usize,
    over: usize,
    /// The columns of the terminal, if there is one.
    width: Option<usize>,
}

impl Bar {
    fn new(all: usize) -> Self {
        let width = std::io::stderr().is_terminal().then(|| liege_ctl::Style::of_stderr().width.unwrap_or(80));
        Self { all, over: 0, width }
    }

    fn tell(&mut self, name: &Name, outcome: Result<(), String>, took: Duration) {
        self.over += 1;
        self.clear();
        match outcome {
            Ok(()) => say(&format!("{name}: up again after {:.1}s\n", took.as_secs_f64())),
            Err(why) => eprintln!("liege: {name}: {}", why.lines().next().unwrap_or_default()),
        }
    }

    fn show(&self, rolling: &Rolling) {
        let Some(width) = self.width else { return };
        let names: Vec<&str> = rolling.under_way().map(|name| &**name).collect();
        let line = bar(self.over, self.all, &names.join(", "), width);
        // Nobody is helped by knowing that the bar could not be drawn.
        let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
    }

    fn clear(&self) {
        if self.width.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn bar(over: usize, all: usize, names: &str, width: usize) -> String {
    const CELLS: usize = 20;
    let full = (over * CELLS).checked_div(all).unwrap_or(CELLS).min(CELLS);
    let line = format!("[{}{}] {over}/{all}  {names}", "#".repeat(full), "-".repeat(CELLS - full));
    shown(&line).chars().take(width.saturating_sub(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_full_at_the_end_and_never_too_long() {
        assert_eq!(bar(0, 4, "a.ini, b.ini", 80), "[--------------------] 0/4  a.ini, b.ini");
        assert_eq!(bar(1, 4, "", 80), "[#####---------------] 1/4  ");
        assert_eq!(bar(4, 4, "", 80), "[####################] 4/4  ");
        assert_eq!(bar(0, 0, "", 80), "[####################] 0/0  ");
        assert_eq!(bar(1, 4, "a-very-long-name", 30).len(), 29);
    }
}
