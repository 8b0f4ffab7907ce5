//! What repeats itself, told once: of a vassal that fails again and again in the same way the newest round is shown, with how many there
//! were.
//!
//! A round is what is told of one vassal from after one end to the next one. Rounds that end alike are one. What is told of others
//! stays where it is.

use std::collections::HashMap;

use liege_core::{Happening, Name};

use crate::moment;

/// What is left of some happenings, in their order.
#[must_use]
pub fn repeated(happenings: Vec<Happening>) -> Vec<Happening> {
    let mut kept: Vec<Option<Happening>> = happenings.into_iter().map(Some).collect();
    let mut rounds: HashMap<Name, Rounds> = HashMap::new();
    for at in 0..kept.len() {
        let Some((name, kind, cause, moment)) = kept[at].as_ref().and_then(|happening| {
            let name = happening.vassal.clone()?;
            Some((name, happening.kind.clone(), happening.cause.clone(), happening.at))
        }) else {
            continue;
        };
        let of = rounds.entry(name).or_default();
        if !COURSE.contains(&kind.as_str()) {
            continue;
        }
        of.begun.push(at);
        if kind != "ended" {
            continue;
        }
        let round = std::mem::take(&mut of.begun);
        if of.cause == cause && cause.is_some() {
            of.last.drain(..).for_each(|before| kept[before] = None);
            of.count += 1;
        } else {
            (of.count, of.first) = (1, moment);
        }
        (of.last, of.cause) = (round, cause);
        if let Some(happening) = kept[at].as_mut().filter(|_| of.count > 1) {
            happening.text = format!("{} (×{} since {})", happening.text, of.count, self::moment(of.first));
        }
    }
    kept.into_iter().flatten().collect()
}

/// What each round may tell; anything else is told however often it was.
const COURSE: [&str; 6] = ["started", "ready", "accepting", "destroying", "mount", "ended"];

#[derive(Default)]
struct Rounds {
    /// The happenings since its last end.
    begun: Vec<usize>,
    /// Those of the round before, and how it ended.
    last: Vec<usize>,
    cause: Option<String>,
    /// So many that ended like this, the first at that moment.
    count: u32,
    first: f64,
}

#[cfg(test)]
mod tests {
    use liege_core::Level;

    use super::*;

    fn told(happenings: &[(&str, &str, Option<&str>)]) -> Vec<String> {
        let of = |(id, (vassal, kind, cause)): (usize, &(&str, &str, Option<&str>))| Happening {
            id: id as u64,
            at: id as f64,
            level: Level::Info,
            kind: (*kind).to_owned(),
            vassal: Some((*vassal).into()),
            text: format!("{kind} {id}"),
            cause: cause.map(str::to_owned),
        };
        let all = happenings.iter().enumerate().map(of).collect();
        repeated(all).into_iter().map(|happening| happening.text).collect()
    }

    #[test]
    fn rounds_that_end_alike_are_one_that_counts() {
        let (started, exit, dead) =
            (("a", "started", None), ("a", "ended", Some("exit")), ("a", "ended", Some("mountpoint_dead")));
        let text = told(&[("b", "started", None), started, exit, started, exit, ("a", "flapping", None), started, exit, started]);
        let wanted = ["started 0", "flapping 5", "started 6", "ended 7 (×3 since 1970-01-01T00:00:02.000Z)", "started 8"];
        assert_eq!(text, wanted);
        assert_eq!(told(&[started, exit, started, dead, started, exit]).len(), 6, "they end in different ways");
        assert_eq!(told(&[exit, ("b", "ended", Some("exit"))]).len(), 2, "they are different vassals");
    }
}
