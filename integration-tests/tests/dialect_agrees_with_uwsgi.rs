//! Thousands of generated files, each read by the real uWSGI and by liege, compared pair for pair.
//!
//! uWSGI's own words are the measure: `uwsgi --show-config --no-server --ini FILE`. The generator is seeded, so a failure is
//! the same on every machine: it prints the file, both results and the seed that makes it again
//! (`LIEGE_DIALECT_SEED=N` runs that one file, `LIEGE_DIALECT_FILES=N` that many).
//!
//! Races: none. Each file has its own name in one directory, and the helper files there are written before and never changed.
//! Not generated: options uWSGI acts upon at once beyond the logic and loading ones, values that refer to themselves (uWSGI
//! would grow them until memory ends), files and variables that hold placeholders themselves (the difference has its own test), and a `%` as the last byte of a file (uWSGI then reads past its buffer).

mod dialect {
    pub(crate) mod generator;
    pub(crate) mod world;
}

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use dialect::generator;
use dialect::world::{Outcome, World};
use liege_spec::{ProgramSpec, Severity, Source, flatten, read_vassal, show_config};

/// How many files a run compares.
const FILES: u64 = 2500;

/// How many of them are read again as a vassal's uwsgi would be given them.
const HANDED_ON: u64 = 1000;

/// What liege refuses although uWSGI reads it, each with its reason. A message of an error must start so to be excused.
const DELIBERATE: &[(&str, &str)] = &[
    ("holds bytes that are no UTF-8", "a spec is text; bytes that are none would come out changed"),
    ("is an option, so it cannot be a placeholder", "uWSGI refuses this too, but only for the plugins it has loaded"),
];

#[test]
fn every_generated_file_flattens_as_under_uwsgi() {
    let world = World::build();
    let (first, count) = match std::env::var("LIEGE_DIALECT_SEED") {
        Ok(seed) => (seed.parse().expect("LIEGE_DIALECT_SEED is a number"), 1),
        Err(_) => {
            (0, std::env::var("LIEGE_DIALECT_FILES").map_or(FILES, |n| n.parse().expect("LIEGE_DIALECT_FILES is a number")))
        }
    };
    let next = AtomicU64::new(first);
    let failures = Mutex::new(Vec::new());
    let refused = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        break;
                    }
                    match compare(&world, &format!("case{seed}.ini"), &generator::file(seed), seed.is_multiple_of(3)) {
                        Ok(Outcome::Refused(_)) => _ = refused.fetch_add(1, Ordering::Relaxed),
                        Ok(Outcome::Shown(_)) => {}
                        Err(difference) => failures.lock().unwrap().push((seed, difference)),
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    let shown: String = failures.iter().take(3).map(|(seed, difference)| format!("\n==== seed {seed}\n{difference}")).collect();
    let seeds: Vec<u64> = failures.iter().map(|(seed, _)| *seed).collect();
    assert!(failures.is_empty(), "{} of {count} files differ: {seeds:?}{shown}", failures.len());
    let refused = refused.into_inner();
    println!("{count} files, {refused} of them refused by both");
    // A generator that makes mostly broken files, or none, tests little.
    assert!(count == 1 || (refused * 2 < count && refused > 0), "{refused} of {count} files were refused by uWSGI");
}

/// What liege hands to the uwsgi of a vassal (flat, each `%` doubled) is read there as it was meant.
#[test]
fn what_is_handed_on_is_read_as_it_was_meant() {
    let world = World::build();
    let (mut compared, mut different) = (0, Vec::new());
    for seed in 0..HANDED_ON {
        let text = generator::file(seed);
        let Some(config) = read_vassal(&Source::new("case.ini", &text), &world).value else { continue };
        let ProgramSpec::Uwsgi { options, .. } = config.fresh.app.program else { continue };
        // What uWSGI left unexpanded (an inherited file, an unknown name) is looked at again by the uwsgi that is given it.
        let left = |value: &str| ["%(", "$(", "@("].iter().any(|open| value.contains(open));
        if options.iter().any(|(key, value)| left(value) || key.ends_with(' ')) {
            continue;
        }
        let handed: String = options.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        world.write("handed.ini", format!("[uwsgi]\n{}", handed.replace('%', "%%")).as_bytes());
        compared += 1;
        let meant = as_read_again(&options);
        let (agree, read) = match world.run_uwsgi("handed.ini", false) {
            Outcome::Shown(shown) => (trimmed(&shown) == meant, shown),
            Outcome::Refused(why) => (false, why),
        };
        if !agree {
            different.push(format!("seed {seed}\n{}\n----\n{}", handed.escape_debug_lines(), read.escape_debug_lines()));
        }
    }
    // Of the others many have no section that is read, so they are no vassals.
    assert!(compared > HANDED_ON / 12, "only {compared} files were compared");
    assert!(
        different.is_empty(),
        "{} of {compared} differ:\n{}",
        different.len(),
        different[..different.len().min(6)].join("\n====\n")
    );
}

/// The pairs a uwsgi shows when it was given these: a line of its configuration keeps no blanks at its ends, and a
/// placeholder's line makes the placeholder again.
fn as_read_again(options: &[(String, String)]) -> Vec<String> {
    let mut shown = vec!["[uwsgi]".to_owned()];
    for (key, value) in options {
        shown.push(format!("{key} = {value}"));
        if let Some((name, value)) = value.split_once('=').filter(|_| key.starts_with("set-p")) {
            shown.push(format!("{name} = {value}"));
        }
    }
    trimmed(&shown.join("\n"))
}

fn trimmed(shown: &str) -> Vec<String> {
    let blank = |c: char| matches!(c, ' ' | '\t' | '\r');
    let line = |line: &str| match line.split_once('=') {
        Some((key, value)) => format!("{}={}", key.trim_matches(blank), value.trim_matches(blank)),
        None => line.to_owned(),
    };
    shown.trim_end_matches('\n').split('\n').map(line).collect()
}

/// Words of the later uWSGI 2.1, which 2.0 takes literally: liege reads them as 2.1 does.
#[test]
fn the_words_of_the_later_uwsgi_are_understood() {
    let world = World::build();
    for (name, text, meant) in [
        ("else1.ini", "[uwsgi]\nif-env = NOPE\na = 1\nelse =\nb = 2\nendif =\n", "if-env = NOPE\nelse = \nb = 2\nendif = \n"),
        ("else2.ini", "[uwsgi]\nif-env = A_ENV\na = 1\nelse =\nb = 2\nendif =\n", "if-env = A_ENV\na = 1\nelse = \nendif = \n"),
        ("default.ini", "[uwsgi]\na = x$(NOPE-d) $(EMPTY_ENV:-e) $(A_ENV-f)\n", "a = xd e env-value\n"),
    ] {
        world.write(name, text.as_bytes());
        let (pairs, _) = flatten(&Source::new(name, text.as_bytes()), &["uwsgi"], false, &world);
        assert_eq!(show_config("uwsgi", &pairs), format!("[uwsgi]\n{meant}"), "{text}");
    }
}

/// What a file or a variable brings in uWSGI expands once more. liege does not: who may write the file, or choose a name, would have
/// text of his own expanded and executed in root's reading.
#[test]
fn what_comes_from_outside_is_not_expanded_again() {
    let world = World::build();
    for (name, value, theirs, ours) in [
        ("file.ini", "-@(names-k0.txt)", "-<x>", "-<%(k0)>"),
        ("variable.ini", "-$(K0_ENV)", "-(x)", "-(%(k0))"),
        ("lines.ini", "y\nfor-readline = names-k0.txt\nb = -%(_)\nendfor =\nc = -", "-<x>", "-<%(k0)>"),
    ] {
        let text = format!("[uwsgi]\nk0 = x\na = {value}\n");
        world.write(name, text.as_bytes());
        let Outcome::Shown(shown) = world.run_uwsgi(name, false) else { panic!("uWSGI refuses {text}") };
        let (pairs, _) = flatten(&Source::new(name, text.as_bytes()), &["uwsgi"], false, &world);
        for (shown, value) in [(&shown, theirs), (&show_config("uwsgi", &pairs), ours)] {
            assert!(shown.lines().any(|line| line.ends_with(&format!(" = {value}"))), "{value}: {shown}");
        }
    }
}

fn compare(world: &World, name: &str, text: &[u8], reload: bool) -> Result<Outcome, String> {
    world.write(name, text);
    let theirs = world.run_uwsgi(name, reload);
    let (pairs, diagnostics) = flatten(&Source::new(name, text), &["uwsgi"], reload, world);
    let ours = show_config("uwsgi", &pairs);
    let errors: Vec<&liege_spec::Diagnostic> = diagnostics.iter().filter(|d| d.severity == Severity::Error).collect();
    let unexcused = errors.iter().any(|error| !DELIBERATE.iter().any(|(start, _)| error.message.contains(start)));
    let agree = match &theirs {
        Outcome::Shown(theirs) => *theirs == ours && !unexcused,
        Outcome::Refused(_) => !errors.is_empty(),
    };
    world.remove(name);
    if agree {
        return Ok(theirs);
    }
    let mut difference = format!("---- the file (reload: {reload})\n{}\n", String::from_utf8_lossy(text).escape_debug_lines());
    match theirs {
        Outcome::Shown(theirs) => {
            let _ = writeln!(difference, "---- uWSGI\n{}", theirs.escape_debug_lines());
        }
        Outcome::Refused(why) => {
            let _ = writeln!(difference, "---- uWSGI refuses it\n{why}");
        }
    }
    let _ = writeln!(difference, "---- liege\n{}", ours.escape_debug_lines());
    for error in errors {
        let _ = writeln!(difference, "{error}");
    }
    Err(difference)
}

/// Lines stay lines, everything unprintable becomes visible.
trait Visible {
    fn escape_debug_lines(&self) -> String;
}

impl<T: AsRef<str>> Visible for T {
    fn escape_debug_lines(&self) -> String {
        self.as_ref().split('\n').map(|line| line.escape_debug().to_string()).collect::<Vec<_>>().join("\n")
    }
}
