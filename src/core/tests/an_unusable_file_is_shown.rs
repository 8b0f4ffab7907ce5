//! A file that never was usable has no vassal, but the view names it, until it is mended or gone.

#[path = "world/specs.rs"]
#[allow(unreachable_pub, reason = "shared with the invariants, where it is a room of its own")]
mod specs;

use std::time::Duration;

use liege_core::{Emperor, Event, Time, View};
use liege_spec::{Code, Diagnostic, Severity};

fn mistake(line: u32, message: &str, hint: Option<&str>) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        code: Code::UnknownUser,
        file: "v.ini".into(),
        line,
        column: u32::from(line > 0),
        width: 3,
        text: "uid = x".into(),
        message: message.into(),
        hint: hint.map(str::to_owned),
    }
}

fn bad_with(diagnostics: Vec<Diagnostic>) -> Event {
    Event::BadConfig { vassal: specs::name(0), diagnostics }
}

fn bad() -> Event {
    let mistake = mistake(2, "there is no user", None);
    let remark = Diagnostic { severity: Severity::Warning, line: 1, ..mistake.clone() };
    bad_with(vec![remark, mistake])
}

fn good() -> Event {
    Event::Config {
        vassal: specs::name(0),
        config: specs::config(0, 0).into(),
        directory: "/v".into(),
        touched: true,
        file: None,
    }
}

fn after(events: impl IntoIterator<Item = Event>) -> View {
    let mut emperor = Emperor::new(&specs::emperor(), 2, specs::LIMITS);
    for (at, event) in (1..).zip(events) {
        emperor.handle(Time(at), event);
    }
    emperor.view(Time(99))
}

#[test]
fn it_is_named_with_its_first_mistake() {
    let view = after([bad()]);
    assert_eq!(view.unusable, [(specs::name(0), "v.ini:2:1: there is no user".to_owned())]);
    assert!(view.vassals.is_empty());
}

#[test]
fn what_is_in_a_line_comes_before_what_it_led_to() {
    let whole = mistake(0, "[vassal] has no command", Some("say what it runs"));
    let typo = mistake(5, "comand is unknown", Some("did you mean command?"));
    for event in [vec![bad_with(vec![whole.clone(), typo.clone()])], vec![good(), bad_with(vec![whole, typo])]] {
        let view = after(event);
        let told = view.unusable.first().map(|(_, told)| told).or_else(|| view.vassals[0].config_error.as_ref()).unwrap();
        assert_eq!(
            told.lines().collect::<Vec<_>>(),
            ["v.ini:5:1: comand is unknown: did you mean command?", "v.ini: [vassal] has no command: say what it runs"]
        );
    }
}

#[test]
fn of_many_mistakes_so_many_are_shown() {
    let view = after([bad_with((1..=60).map(|line| mistake(line, &"x".repeat(9999), None)).collect())]);
    let lines: Vec<&str> = view.unusable[0].1.lines().collect();
    assert_eq!((lines.len(), *lines.last().unwrap()), (21, "and 40 more (liege check)"));
    assert!(lines.iter().all(|line| line.chars().count() <= 401));
}

#[test]
fn mended_or_gone_it_is_no_more() {
    assert!(after([bad(), Event::Vanished { vassal: specs::name(0) }]).unusable.is_empty());
    let mended = after([bad(), good()]);
    assert!(mended.unusable.is_empty() && mended.vassals.len() == 1);
}

/// A bad one that takes the place of one that is gone is shown as well when the vassal has ended.
#[test]
fn one_that_comes_while_the_vassal_ends_is_shown_after_it() {
    let vassal = specs::name(0);
    let view = after([
        good(),
        Event::Spawned { vassal: vassal.clone(), birth: 1, pid: 7 },
        Event::Vanished { vassal: vassal.clone() },
        bad(),
        Event::Exited { vassal, birth: 1, exit: liege_plan::Exit::Code(0) },
    ]);
    assert!(view.vassals.is_empty(), "{:?}", view.vassals);
    assert_eq!(view.unusable.len(), 1);
}

#[test]
fn one_that_has_a_vassal_is_that_vassals_row() {
    let view = after([good(), bad()]);
    assert!(view.unusable.is_empty() && view.vassals[0].config_error.is_some());
}

fn unread() -> Event {
    Event::Unread { vassal: specs::name(0), why: "no descriptor is left".into() }
}

/// What the host lacks is no mistake of a file.
#[test]
fn one_that_could_not_be_read_is_no_bad_one() {
    let view = after([unread()]);
    assert_eq!((view.unusable.len(), view.unread.len()), (1, 1));
    assert!(after([unread(), bad()]).unread.is_empty());
    assert!(after([unread(), Event::Vanished { vassal: specs::name(0) }]).unusable.is_empty());
    let view = after([bad(), unread()]);
    assert_eq!((view.unusable[0].1.as_str(), view.unread.len()), ("v.ini:2:1: there is no user", 0), "it keeps its mistakes");
    let view = after([unread(), good()]);
    assert!(view.unusable.is_empty() && view.unread.is_empty() && view.vassals.len() == 1);
    let view = after([good(), unread()]);
    assert!(view.unread.is_empty() && view.vassals[0].config_error.is_none());
}

/// Since when it has not answered is told anew each time.
#[test]
fn one_whose_first_reading_hangs_is_named_with_what_hangs_and_for_how_long() {
    let mut emperor = Emperor::new(&specs::emperor(), 2, specs::LIMITS);
    let vassal = specs::name(0);
    let lasts = Duration::from_secs(3);
    emperor.handle(Time(4_000_000), Event::Unanswered { vassal: vassal.clone(), what: "/srv/nfs".into(), lasts });
    let view = |emperor: &Emperor, seconds: u64| emperor.view(Time(seconds * 1_000_000));
    assert_eq!(view(&emperor, 4).unusable, [(vassal.clone(), "/srv/nfs has not answered for 3 s".to_owned())]);
    assert_eq!(view(&emperor, 61).unusable, [(vassal.clone(), "/srv/nfs has not answered for 60 s".to_owned())]);
    assert!(view(&emperor, 61).unread.contains(&vassal));
    emperor.handle(Time(62_000_000), good());
    assert!(view(&emperor, 62).unusable.is_empty() && view(&emperor, 62).vassals.len() == 1);
    let view = after([Event::Unanswered { vassal: vassal.clone(), what: "/srv/nfs".into(), lasts }, Event::Vanished { vassal }]);
    assert!(view.unusable.is_empty());
}
