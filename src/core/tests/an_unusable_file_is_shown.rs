//! A file that never was usable has no vassal, but the view names it, until it is mended or gone.

#[path = "world/specs.rs"]
#[allow(unreachable_pub, reason = "shared with the invariants, where it is a room of its own")]
mod specs;

use liege_core::{Emperor, Event, Time, View};
use liege_spec::{Code, Diagnostic, Severity};

fn bad() -> Event {
    let mistake = Diagnostic {
        severity: Severity::Error,
        code: Code::UnknownUser,
        file: "v.ini".into(),
        line: 2,
        column: 1,
        width: 3,
        text: "uid = x".into(),
        message: "there is no user".into(),
        hint: None,
    };
    let remark = Diagnostic { severity: Severity::Warning, line: 1, ..mistake.clone() };
    Event::BadConfig { vassal: specs::name(0), diagnostics: vec![remark, mistake] }
}

fn good() -> Event {
    Event::Config { vassal: specs::name(0), config: specs::config(0, 0).into(), directory: "/v".into(), touched: true }
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
fn mended_or_gone_it_is_no_more() {
    assert!(after([bad(), Event::Vanished { vassal: specs::name(0) }]).unusable.is_empty());
    let mended = after([bad(), good()]);
    assert!(mended.unusable.is_empty() && mended.vassals.len() == 1);
}

#[test]
fn one_that_has_a_vassal_is_that_vassals_row() {
    let view = after([good(), bad()]);
    assert!(view.unusable.is_empty() && view.vassals[0].config_error.is_some());
}
