//! Random life stories in virtual time. The named invariants hold after every event of every story, and for each of them a core
//! that was broken on purpose is caught.

#![allow(unreachable_pub, reason = "a module of a test is seen by nobody else")]

mod world;

use liege_core::{Emperor, Order};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use world::saboteur::{Sabotage, Saboteur};
use world::{Broken, Machine, Op, World, specs};

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0u8..8, 0u8..2, 0u8..4).prop_map(|(vassal, jail, app)| Op::Write { vassal, jail, app }),
        2 => (0u8..8, prop::option::of(0u8..4)).prop_map(|(vassal, elsewhere)| Op::ReadAgain { vassal, elsewhere }),
        1 => (0u8..8).prop_map(|vassal| Op::Bad { vassal }),
        2 => (0u8..8).prop_map(|vassal| Op::Remove { vassal }),
        10 => (any::<u8>(), prop::bool::weighted(0.1)).prop_map(|(pick, fails)| Op::Born { pick, fails }),
        4 => any::<u8>().prop_map(|pick| Op::Walks { pick }),
        4 => (any::<u8>(), any::<bool>()).prop_map(|(pick, kept)| Op::Reloads { pick, kept }),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(pick, fatal)| Op::StepFails { pick, fatal }),
        10 => any::<u8>().prop_map(|pick| Op::Starts { pick }),
        4 => (any::<u8>(), prop::sample::select(vec![1u8, 2, 5, 17, 22, 26, 30, 99])).prop_map(|(pick, word)| Op::Says { pick, word }),
        2 => (any::<u8>(), 0u8..2).prop_map(|(pick, code)| Op::AppEnds { pick, code }),
        2 => any::<u8>().prop_map(|pick| Op::Orphan { pick }),
        1 => any::<u8>().prop_map(|pick| Op::Storm { pick }),
        1 => any::<u8>().prop_map(|pick| Op::Garbles { pick }),
        1 => any::<u8>().prop_map(|pick| Op::Examined { pick }),
        1 => any::<u8>().prop_map(|pick| Op::Clings { pick }),
        8 => (any::<u8>(), 1u8..16).prop_map(|(pick, signal)| Op::Dies { pick, signal }),
        6 => (any::<u8>(), any::<u8>()).prop_map(|(pick, how)| Op::Probe { pick, how }),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(pick, fuse)| Op::Mounts { pick, fuse }),
        2 => any::<u8>().prop_map(|pick| Op::Secured { pick }),
        3 => (any::<u8>(), any::<bool>()).prop_map(|(pick, waits)| Op::Saves { pick, waits }),
        1 => any::<u8>().prop_map(|pick| Op::GivesUp { pick }),
        4 => (0u32..3_000).prop_map(|millis| Op::Passes { millis }),
        4 => Just(Op::ToDeadline),
        6 => (0u8..8, order()).prop_map(|(vassal, order)| Op::Ordered { vassal, order }),
        1 => order().prop_map(|order| Op::OrderedAll { order }),
        1 => Just(Op::Rescan),
    ]
}

fn order() -> impl Strategy<Value = Order> {
    prop::sample::select(vec![Order::Start, Order::Stop, Order::Restart, Order::Reload, Order::Clear])
}

/// Most stories go on; some end with one request to shut down, some with two. Some begin with vassals that lose their mounts together.
fn story() -> impl Strategy<Value = Vec<Op>> {
    let flaps = prop::option::weighted(0.05, (0u8..8, 0u8..4, any::<bool>()));
    let losses = prop::option::weighted(0.1, (prop::collection::vec(0u8..4, 8), any::<u8>(), any::<u8>()));
    (flaps, losses, prop::collection::vec(op(), 1..120), 0usize..4, prop::collection::vec(op(), 0..20)).prop_map(
        |(flaps, losses, mut ops, shutdowns, after)| {
            if let Some((vassal, app, long)) = flaps {
                ops.splice(0..0, [Op::Write { vassal, jail: 0, app }, Op::Flaps { vassal, long }]);
            }
            if let Some((apps, first, second)) = losses {
                let more = ops.split_off(ops.len() / 2);
                let files = (0u8..).zip(apps).map(|(vassal, app)| Op::Write { vassal, jail: 0, app });
                let together = |vassals| std::iter::once(Op::Together { vassals });
                ops = files.chain(together(first)).chain(ops).chain(together(second)).chain(more).collect();
            }
            ops.extend(std::iter::repeat_n(Op::Shutdown, shutdowns.saturating_sub(1)));
            ops.extend(after);
            ops
        },
    )
}

fn machine() -> Emperor {
    Emperor::new(&specs::emperor(), 2, specs::LIMITS)
}

fn tell(machine: impl Machine, story: &[Op]) -> Result<(), Broken> {
    let mut world = World::new(machine);
    story.iter().try_for_each(|op| world.step(*op))?;
    world.settle()?;
    world.calm()
}

/// The same stories in every run, so that a change is judged by itself; `PROPTEST_CASES=150000` tells more of them.
fn config() -> Config {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(3000);
    Config { cases, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Config::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_invariants_hold_after_every_event(story in story()) {
        if let Err(broken) = tell(machine(), &story) {
            prop_assert!(false, "{broken:?}");
        }
    }
}

/// Tells stories to a broken core until one catches it; what caught it must be the invariant in question.
fn caught(how: Sabotage, expected: impl Fn(&Broken) -> bool) {
    let mut runner = TestRunner::deterministic();
    let mut others = Vec::new();
    for _ in 0..3000 {
        let Ok(tree) = story().new_tree(&mut runner) else { panic!("no story") };
        match tell(Saboteur::new(machine(), how), &tree.current()) {
            Err(broken) if expected(&broken) => return,
            Err(broken) => others.push(broken),
            Ok(()) => {}
        }
    }
    panic!("{how:?} was not caught by its invariant; others that spoke: {:?}", others.first());
}

#[test]
fn at_most_one_live_pid_per_vassal() {
    caught(Sabotage::SpawnsTwice, |b| matches!(b, Broken::AtMostOneLivePidPerVassal(_)));
}

#[test]
fn no_signal_after_reap() {
    caught(Sabotage::KillsTheReaped, |b| matches!(b, Broken::NoSignalAfterReap(_)));
}

#[test]
fn no_spawn_after_shutdown() {
    caught(Sabotage::SpawnsInShutdown, |b| matches!(b, Broken::NoSpawnAfterShutdown(_)));
}

#[test]
fn vanished_config_ends_in_gone() {
    caught(Sabotage::DeafToVanished, |b| matches!(b, Broken::VanishedConfigEndsInGone(_)));
}

#[test]
fn gone_owns_nothing() {
    caught(Sabotage::ReleasesNothing, |b| matches!(b, Broken::GoneOwnsNothing(_)));
}

#[test]
fn every_deadline_fires_or_is_cancelled() {
    caught(Sabotage::SleepsThroughDeadlines, |b| matches!(b, Broken::EveryDeadlineFiresOrIsCancelled));
}

#[test]
fn backoff_grows_until_a_settled_run() {
    caught(Sabotage::ForgivesEverything, |b| matches!(b, Broken::BackoffGrowsUntilASettledRun(_)));
}

#[test]
fn daemon_exits_only_when_no_pid_lives() {
    caught(Sabotage::QuitsAtOnce, |b| matches!(b, Broken::DaemonExitsOnlyWhenNoPidLives));
}

#[test]
fn bad_config_never_stops_a_running_vassal() {
    caught(Sabotage::MistakesAreRemovals, |b| matches!(b, Broken::BadConfigNeverStopsARunningVassal(_)));
}

#[test]
fn reading_again_changes_nothing() {
    caught(Sabotage::TakesAReadingForATouch, |b| matches!(b, Broken::ReadingAgainChangesNothing(_)));
}

#[test]
fn every_file_has_a_vassal() {
    caught(Sabotage::LosesFiles, |b| matches!(b, Broken::EveryFileHasAVassal(_)));
}

#[test]
fn stopped_stays_down_until_started() {
    caught(Sabotage::TakesATouchForAStart, |b| matches!(b, Broken::StoppedStaysDownUntilStarted(_)));
}

#[test]
fn every_request_is_answered_once() {
    caught(Sabotage::SaysNothing, |b| matches!(b, Broken::EveryRequestIsAnsweredOnce));
}

#[test]
fn every_wish_is_met_in_calm() {
    caught(Sabotage::DeafToStarts, |b| matches!(b, Broken::EveryWishIsMetInCalm(_)));
}

#[test]
fn a_lone_failure_is_never_delayed() {
    caught(Sabotage::TakesAllForOneOwner, |b| matches!(b, Broken::ALoneFailureIsNeverDelayed(_)));
}

#[test]
fn flapping_is_slowed_down() {
    caught(Sabotage::TakesLoyalForSteady, |b| matches!(b, Broken::FlappingIsSlowedDown(_)));
}

#[test]
fn a_rare_failure_is_healed_at_once() {
    caught(Sabotage::NeverForgets, |b| matches!(b, Broken::ARareFailureIsHealedAtOnce(_)));
}

#[test]
fn a_shortage_of_the_hosts_is_no_failure() {
    caught(Sabotage::ChargesShortages, |b| matches!(b, Broken::AShortageOfTheHostsIsNoFailure(_)));
}

#[test]
fn nothing_is_left_behind_that_may_die() {
    caught(Sabotage::LeavesBehindAtOnce, |b| matches!(b, Broken::NothingIsLeftBehindThatMayDie(_)));
}

#[test]
fn shutdown_ends_the_daemon() {
    caught(Sabotage::LeavesNothingBehind, |b| matches!(b, Broken::ShutdownEndsTheDaemon));
}
