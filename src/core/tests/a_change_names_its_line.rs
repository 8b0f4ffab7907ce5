//! A change of the jail is told with the line that makes a rebuild necessary, whether the app runs or is on its way up.

#[path = "world/specs.rs"]
#[allow(unreachable_pub, reason = "shared with the invariants, where it is a room of its own")]
mod specs;

use liege_core::{Action, Emperor, Event, Note, Time};
use liege_plan::FromInit;

/// What is told of a change of the jail, after the app was started or before.
fn told(is_started: bool) -> Option<String> {
    let mut emperor = Emperor::new(&specs::emperor(), 2, specs::LIMITS);
    let vassal = specs::name(0);
    let config = |jail| Event::Config {
        vassal: vassal.clone(),
        config: specs::config(jail, 1).into(),
        directory: "/v".into(),
        touched: true,
        file: None,
    };
    let actions = emperor.handle(Time(0), config(0));
    let birth = actions.iter().find_map(|action| if let Action::Spawn { birth, .. } = action { Some(*birth) } else { None });
    let birth = birth.expect("it is born");
    emperor.handle(Time(1), Event::Spawned { vassal: vassal.clone(), birth, pid: 9 });
    if is_started {
        emperor.handle(Time(2), Event::Reported { vassal: vassal.clone(), birth, report: FromInit::Started { pid: 2 } });
    }
    emperor.handle(Time(3), config(1)).into_iter().find_map(|action| match action {
        Action::Note(Note::Rebuilding { why, .. }) => Some(why),
        _ => None,
    })
}

#[test]
fn before_the_app_runs_as_after() {
    let line = told(true);
    assert!(line.is_some());
    assert_eq!(told(false), line);
}
