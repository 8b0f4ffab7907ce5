//! The exposition as a scraper reads it, and the declared families: each is written as declared, told in the README, and moves.

use std::{
    collections::{BTreeMap, BTreeSet},
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use liege_core::{Cause, Event, Health, HeldDirectory, Late, MountView, Name, Note, Phase, Probed, Time, VassalView, View};
use liege_plan::{Exit, FromInit};

use super::{
    Book,
    declared::{ALL, Declared, Kind},
    exposition,
    exposition::exposition_beside,
    health,
    process::Process,
    text_format,
};
use crate::testing::vassal;

/// One that runs, with a mount, and has died before.
fn app001() -> VassalView {
    let mount = MountView { health: Some(Health::Healthy), micros: 41, ..MountView::new("/app") };
    VassalView {
        mounts: vec![mount],
        restarts: vec![("mountpoint_dead".into(), 3)],
        failures: 1,
        ..vassal("app001.ini", Phase::Running)
    }
}

fn view(vassals: Vec<VassalView>) -> Arc<View> {
    Arc::new(View { now: Time(5_000_000), vassals, ..View::default() })
}

/// Family to type, and the samples by their family, as the OpenMetrics text has them: name, labels, value.
type Samples = BTreeMap<String, BTreeSet<(String, String, String)>>;

fn parse(text: &str) -> (BTreeMap<String, String>, Samples) {
    let mut types = BTreeMap::new();
    let mut samples = Samples::new();
    let mut family = String::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            assert_eq!(types.insert(name.to_owned(), kind.to_owned()), None, "{name} is there twice");
            family = name.to_owned();
        } else if !line.starts_with('#') {
            assert!(line.starts_with(&family), "{line} stands below {family}");
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let sample = (name.to_owned(), labels.trim_end_matches('}').to_owned(), value.to_owned());
            assert!(samples.entry(family.clone()).or_default().insert(sample), "{line} is there twice");
        }
    }
    (types, samples)
}

fn family(what: &Declared) -> String {
    what.unit().map_or_else(|| what.stem.to_owned(), |unit| format!("{}_{}", what.stem, unit.as_str()))
}

fn unread() -> HeldDirectory {
    HeldDirectory { directory: "/w".into(), vassals: 0, why: "is missing".into(), since: Time(0), until: None }
}

fn held() -> HeldDirectory {
    HeldDirectory { directory: "/v".into(), vassals: 3, why: "is gone".into(), since: Time(0), until: None }
}

/// The name of the samples: what people ask for.
fn name(what: &Declared) -> String {
    let suffix = match what.kind {
        Kind::Counter => "_total",
        Kind::Info => "_info",
        Kind::Gauge | Kind::Histogram => "",
    };
    family(what) + suffix
}

#[test]
fn the_health_lines_are_those_of_the_contract() {
    let view = View { vassals: vec![app001()], ..View::default() };
    assert_eq!(
        health(view).collect::<Vec<_>>(),
        [
            r#"liege_vassal_up{vassal="app001.ini"} 1"#,
            r#"liege_mountpoint_up{vassal="app001.ini",mountpoint="/app",state="healthy"} 1"#,
            r#"liege_mountpoint_check_seconds{vassal="app001.ini",mountpoint="/app"} 0.000041"#,
            r#"liege_vassal_restarts_total{vassal="app001.ini",cause="mountpoint_dead"} 3"#,
        ]
    );
}

#[test]
fn every_family_is_written_as_it_is_declared() {
    let book = Arc::<Book>::default();
    live_through_everything(&book);
    let text = exposition(&Arc::new(View { held: vec![held(), unread()], ..View::clone(&view(vec![app001()])) }), &book);
    let (types, samples) = parse(&text);
    assert_eq!(types.keys().cloned().collect::<BTreeSet<_>>(), ALL.iter().map(family).collect());
    for what in ALL {
        assert_eq!(types[&family(what)], what.kind().as_str(), "{}", what.stem);
        for (_, labels, _) in &samples[&family(what)] {
            let keys: Vec<&str> =
                labels.split("\",").filter_map(|l| Some(l.split_once('=')?.0)).filter(|key| *key != "le").collect();
            assert_eq!(keys, what.labels, "{}", what.stem);
        }
    }
    assert!(text.ends_with("\n# EOF\n"));
}

#[test]
fn whatever_a_vassal_is_called_its_name_is_one_label() {
    let odd = "a\"b\\c\nd{e}=,.ini";
    let text = exposition(&view(vec![vassal(odd, Phase::Running)]), &Arc::default());
    let line = r#"liege_vassal_up{vassal="a\"b\\c\nd{e}=,.ini"} 1"#;
    assert!(text.lines().any(|l| l == line), "{text}");
    assert!(text_format(&text).lines().any(|l| l == line));
}

/// Every event and note that counts, as the loop tells them.
fn live_through_everything(book: &Book) {
    let name: Name = "app001.ini".into();
    let (vassal, took) = (|| name.clone(), Duration::from_millis(12));
    let dead = || Cause::MountpointDead { path: "/app".into(), errno: 107, daemon: None, seen: None, called: None };
    let mut now = 0;
    let mut hear = |note: Note, ready| {
        now += 1000;
        book.hear(Time(now), &note, ready);
    };
    hear(Note::Started { vassal: vassal(), pid: 2, took }, true);
    hear(Note::Mount { vassal: vassal(), path: "/app".into(), state: "dead".into(), detail: String::new() }, true);
    hear(Note::Destroying { vassal: vassal(), why: dead(), lived: took, owner: None }, false);
    hear(Note::HeldUp { vassal: vassal(), found: Vec::new() }, false);
    hear(Note::Unsaved { vassal: vassal(), killed: Vec::new(), stop: None, owner: None }, false);
    hear(Note::Ended { vassal: vassal(), cause: dead(), lived: took, again_in: Some(took), owner: None, gave_up: false }, false);
    hear(Note::Storm { vassal: vassal(), layer: "/".into(), failed: 5 }, false);
    hear(Note::Started { vassal: vassal(), pid: 2, took }, false);
    hear(Note::Ready { vassal: vassal(), took }, true);
    hear(Note::Reloaded { vassal: vassal(), took }, true);
    hear(Note::BadConfig { vassal: vassal(), runs_on: true, diagnostics: Vec::new() }, true);
    let probed = Probed { micros: 41, ..Probed::of(Health::Healthy) };
    book.see(Time(now), &Event::Probed { vassal: vassal(), birth: 1, path: "/app".into(), probed });
    let report = FromInit::AppExited { exit: Exit::Code(0), said: None };
    book.see(Time(now), &Event::Reported { vassal: vassal(), birth: 1, report });
    book.turned(Instant::now());
    for counter in [&book.fuse_aborts, &book.prober_restarts, &book.inotify_overflows, &book.guests_refused] {
        counter.inc();
    }
}

#[test]
fn every_family_moves() {
    let book = Arc::<Book>::default();
    let process = |n: u32| {
        let (bytes, count) = (u64::from(n) << 20, u64::from(n));
        Process {
            cpu_seconds: n.into(),
            resident_bytes: bytes,
            virtual_bytes: bytes,
            open_fds: n as usize,
            max_fds: 1024,
            threads: count,
        }
    };
    let before = exposition_beside(&view(vec![vassal("app001.ini", Phase::Waiting)]), &book, process(1));
    live_through_everything(&book);
    crate::lines::lose_one();
    let mut after = View {
        now: Time(9_000_000),
        vassals: vec![app001()],
        held: vec![held(), unread()],
        shutting_down: true,
        ..View::default()
    };
    after.vassals[0].config_error = Some("a.ini:1".into());
    after.vassals[0].doubt = Some("it may serve nothing".into());
    after.vassals[0].since = Time(8_000_000);
    let flapping = liege_core::Flapping { since: Time(1), failures: 5, steady_after: Duration::from_secs(300) };
    (after.vassals[0].flapping, after.vassals[0].gave_up) = (Some(flapping), true);
    let after = exposition_beside(&Arc::new(after), &book, process(2));
    let ((_, before), (_, after)) = (parse(&before), parse(&after));
    for what in ALL {
        // These say what is, and stay as they are.
        let constant = ["liege_build", "process_start_time_seconds", "process_max_fds"].contains(&&*family(what));
        let (before, after) = (before.get(&family(what)), after.get(&family(what)));
        assert!(
            after.is_some_and(|samples| samples.iter().any(|(_, _, value)| value != "0" && value != "0.0")),
            "{} is 0",
            what.stem
        );
        assert_eq!(before == after, constant, "{}: {after:?}", what.stem);
    }
}

/// At least what this test uses: others may run in the same process, and come and go.
#[test]
fn a_process_is_read_as_it_is() {
    let memory = black_box(vec![1_u8; 16 << 20]);
    let files: Vec<_> = (0..20).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
    let (end, wait) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || wait.recv().ok());
    let before = Process::read().cpu_seconds;
    black_box(memory.iter().map(|byte| u64::from(*byte)).sum::<u64>());
    let read = Process::read();
    drop(end);
    thread.join().unwrap();
    assert!(read.cpu_seconds > before && before > 0.0, "{before} {read:?}");
    assert!(read.resident_bytes >= memory.len() as u64 && read.virtual_bytes >= read.resident_bytes, "{read:?}");
    assert!(read.open_fds >= files.len() && read.max_fds >= files.len() as u64 && read.threads >= 2, "{read:?}");
}

#[test]
fn one_who_is_late_is_counted_once() {
    let book = Arc::<Book>::default();
    let probed = |health, late| Probed { micros: 5_000_000, late, ..Probed::of(health) };
    for probed in [probed(Health::Hung, Some(Late::default())), probed(Health::Healthy, None)] {
        book.see(Time(0), &Event::Probed { vassal: "a".into(), birth: 1, path: "/".into(), probed });
    }
    assert!(exposition(&view(Vec::new()), &book).contains("\nliege_check_duration_seconds_count 1\n"));
}

/// The table of the README. Print it with `cargo test -p liege-host the_readme -- --nocapture` when this fails.
#[test]
fn the_readme_has_the_table() {
    let rows = ALL.iter().map(|what| {
        let labels = what.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        format!("| `{}` | {} | {labels} | {} |\n", name(what), what.kind().as_str(), what.help)
    });
    let table: String = ["| name | type | labels | meaning |\n|---|---|---|---|\n".to_owned()].into_iter().chain(rows).collect();
    let readme = include_str!("../../../README.md");
    assert!(readme.contains(&table), "the README needs this table:\n{table}");
}

/// What a scrape costs. The figures are printed; the bound is wide enough for a debug build on a busy machine.
#[test]
fn ten_thousand_vassals_are_written_down_in_time() {
    let vassals = (0..10_000).map(|n| VassalView { name: format!("customer{n:05}.ini").into(), ..app001() }).collect();
    let view = view(vassals);
    let start = Instant::now();
    black_box(View::clone(&view)); // what the loop pays: the same strings as in the core
    let copied = start.elapsed();
    let start = Instant::now();
    let text = exposition(&view, &Arc::default());
    let written = start.elapsed();
    let start = Instant::now();
    let older = text_format(&text).len();
    println!(
        "10000 vassals: copied {copied:?}, written {written:?}, {} bytes; translated {:?}, {older} bytes",
        text.len(),
        start.elapsed()
    );
    assert_eq!(text.matches("\nliege_vassal_up{").count(), 10_000);
    assert!(written < Duration::from_secs(10), "{written:?}");
}
