//! The same vassals live under the real uWSGI's Emperor and under liege, and what their hooks write down is compared: order, user, directory,
//! pid namespace, root, environment, and what they leave behind. What is different on purpose stands in one table.

#[path = "hooks/differences.rs"]
mod differences;
#[path = "hooks/effects.rs"]
mod effects;
#[path = "hooks/fates.rs"]
mod fates;
#[path = "hooks/phases.rs"]
mod phases;
#[path = "hooks/world.rs"]
mod world;

use differences::{FATES, FIELDS, Reason, agree, deliberate};
use liege_integration_tests::story;
use phases::{APP, USER, chrooted, everything, failed_start, life, pivoted, unshared};
use world::{World, both};

#[test]
fn every_phase_of_a_vassal_with_a_user() {
    story(|host| {
        let world = World::new(host, "phases");
        let text = format!("{APP}{USER}{}", everything(true));
        let [theirs, ours] = both(&world, |side| life(&world, side, &[], &text));
        agree("a user", &theirs, &ours);
    });
}

#[test]
fn every_phase_of_a_vassal_that_stays_root() {
    story(|host| {
        let world = World::new(host, "phases");
        let text = format!("{APP}{}", everything(false));
        let [theirs, ours] = both(&world, |side| life(&world, side, &[], &text));
        agree("root", &theirs, &ours);
    });
}

#[test]
fn every_phase_of_a_vassal_that_calls_itself_jailed() {
    story(|host| {
        let world = World::new(host, "phases");
        let text = format!("{APP}{USER}jailed = true\n{}", everything(true));
        let [theirs, ours] = both(&world, |side| life(&world, side, &[], &text));
        agree("a user, jailed", &theirs, &ours);
        assert!(format!("{ours:?}").contains("post-jail"), "its post-jail hooks run: {ours:?}");
    });
}

#[test]
fn every_phase_behind_a_pivot() {
    story(|host| {
        let world = World::new(host, "phases");
        let text = format!("{APP}{USER}{}{}", pivoted(), everything(false));
        let [theirs, ours] = both(&world, |side| life(&world, side, &[], &text));
        agree("a pivot", &theirs, &ours);
    });
}

#[test]
fn every_phase_behind_a_chroot() {
    story(|host| {
        let world = World::new(host, "phases");
        let text = format!("{APP}{USER}{}{}", chrooted(), everything(false));
        let [theirs, ours] = both(&world, |side| life(&world, side, &[], &text));
        agree("a chroot", &theirs, &ours);
    });
}

#[test]
fn every_phase_around_an_unshare() {
    story(|host| {
        let world = World::new(host, "phases");
        let text = format!("{APP}{USER}{}{}", unshared(), everything(true));
        let [theirs, ours] = both(&world, |side| life(&world, side, &[], &text));
        agree("a user, unshared", &theirs, &ours);
        let post_jail = |record: &[String]| record.iter().filter(|line| line.starts_with("another-ipc ")).count();
        assert_eq!([post_jail(&theirs), post_jail(&ours)], [1, 1], "its post-jail hooks run in them: {ours:?}");
    });
}

#[test]
fn every_phase_under_an_emperor_with_hooks() {
    story(|host| {
        let world = World::new(host, "phases");
        let text = format!("{APP}{USER}{}hook-as-vassal = exec:<mark> own-as-vassal\n", everything(true));
        let options = [
            ("exec-as-vassal", "<mark> exec-as-vassal"),
            ("umount-as-vassal", "<dir>/m/as-vassal-b"),
            ("mount-as-vassal", "tmpfs none <dir>/m/as-vassal-a"),
            ("mount-as-vassal", "tmpfs none <dir>/m/as-vassal-b"),
            ("hook-as-vassal", "mkdir:<dir>/m/as-vassal-a"),
            ("hook-as-vassal", "mkdir:<dir>/m/as-vassal-b"),
            ("hook-as-vassal", "exec:<mark> hook-as-vassal"),
            ("hook-as-vassal", "putenv:HOOK_SET=as-vassal"),
        ];
        let options = options.map(|(key, value)| (key.to_owned(), world.fill(value)));
        let [theirs, ours] = both(&world, |side| life(&world, side, &options, &text));
        agree("an emperor with hooks", &theirs, &ours);
    });
}

#[test]
fn what_a_failed_start_runs() {
    story(|host| {
        let world = World::new(host, "phases");
        let text = format!("{APP}{USER}{}exec-as-root = false\n", everything(false));
        let [theirs, ours] = both(&world, |side| failed_start(&world, side, &text));
        agree("a failed start", &theirs, &ours);
    });
}

#[test]
fn what_a_failure_means() {
    story(|host| {
        let world = World::new(host, "fates");
        let lines = fates::lines();
        let [theirs, ours] = both(&world, |side| fates::fates(&world, side, &lines));
        for ((line, theirs), ours) in lines.iter().zip(theirs).zip(ours) {
            let verb = line.strip_prefix("hook-as-root = ");
            let excused = FATES.iter().find(|(known, ..)| Some(*known) == verb).map(|&(_, theirs, ours, _)| [theirs, ours]);
            assert_eq!([theirs, ours], excused.unwrap_or([theirs; 2]), "{line}: under uWSGI, under liege");
        }
        let forgotten = FATES.iter().find(|(verb, ..)| !lines.contains(&format!("hook-as-root = {verb}")));
        assert!(forgotten.is_none(), "excused, but not tried: {forgotten:?}");
    });
}

#[test]
fn what_verbs_leave_behind() {
    story(|host| {
        let world = World::new(host, "effects");
        let [(theirs, said), (ours, told)] = both(&world, |side| effects::look(&world, side, &effects::verbs()));
        agree("verbs", &theirs, &ours);
        for line in effects::PRINTED {
            // What is called with `uwsgi_log` ends without a newline there.
            assert!(said.lines().any(|said| said.starts_with(line)), "uWSGI prints {line}");
            assert!(told.lines().any(|told| told == line), "liege prints {line}");
        }
    });
}

#[test]
fn what_mounts_are() {
    story(|host| {
        let world = World::new(host, "effects");
        let [(theirs, _), (ours, _)] = both(&world, |side| effects::look(&world, side, &effects::mounts()));
        agree("mounts", &theirs, &ours);
    });
}

#[test]
fn what_unmounts_take_away() {
    story(|host| {
        let world = World::new(host, "effects");
        let [(theirs, _), (ours, _)] = both(&world, |side| effects::look(&world, side, &effects::unmounts()));
        agree("unmounts", &theirs, &ours);
    });
}

#[test]
fn what_is_waited_for_and_when() {
    story(|host| {
        let world = World::new(host, "effects");
        let [theirs, ours] = both(&world, |side| effects::wait(&world, side));
        agree("waits", &theirs, &ours);
    });
}

#[test]
fn every_difference_is_told_in_the_readme() {
    let readme = include_str!("../../README.md");
    let (_, behind) = readme.split_once("\n### Hooks, mounts and roots\n").expect("the table");
    let table = behind.split("\n#").next().unwrap_or_default();
    let untold: Vec<String> = differences::rows().filter(|row| !table.lines().any(|line| line == row)).collect();
    assert!(untold.is_empty(), "README's table lacks these rows, word for word:\n{}", untold.join("\n"));
}

#[test]
fn every_difference_has_a_reason() {
    for reason in Reason::ALL {
        let seen = deliberate().iter().map(|d| d.of).chain(FIELDS.iter().map(|f| f.of)).any(|of| of == reason)
            || FATES.iter().any(|(.., of)| *of == reason);
        assert!(seen, "{reason:?} is no reason for anything");
        assert!(reason.in_words().iter().all(|words| !words.is_empty()), "{reason:?}");
    }
}
