//! The same attached daemon beside a uwsgi under the real Emperor, beside a uwsgi under liege (which hands the line on), and beside a
//! command of liege's: as whom and where it starts, that it starts again when it is killed, and that it ends with the instance.

#[path = "hooks/world.rs"]
#[allow(dead_code, reason = "shared with the hooks, which need all of it")]
mod world;

use liege_integration_tests::apps::USER;
use liege_integration_tests::{LONG, procs, story, wait_until};
use nix::sys::signal::Signal;
use world::{Side, World};

/// A number that stands in nobody else's command line.
const SLEEP: &str = "41573";

/// What a daemon writes down at each start, before and after it was killed.
fn life(world: &World<'_>, side: Side, app: &str) -> Vec<String> {
    world.clean();
    let governor = world.govern(side, &[]);
    let daemon = format!("attach-daemon = <mark> daemon; exec sleep {SLEEP}\n");
    world.write("v.ini", &format!("[uwsgi]\n{app}uid = {USER}\ngid = {USER}\n{daemon}"));
    world.wait("daemon", 1, &governor);
    let mine = || {
        let below = procs::descendants(std::process::id().try_into().expect("a pid is small"));
        below.into_iter().find(|process| process.command_line() == format!("sleep {SLEEP}"))
    };
    wait_until("the daemon", LONG, || mine().is_some());
    mine().expect("it was there").kill(Signal::SIGKILL);
    world.wait("daemon", 2, &governor);
    wait_until("the daemon again", LONG, || mine().is_some());
    world.remove("v.ini");
    governor.wait_alone();
    assert!(mine().is_none(), "{side:?}: ended with the instance");
    governor.end();
    world.record()
}

#[test]
fn attached_daemons_agree_with_uwsgi() {
    story(|host| {
        let world = World::new(host, "daemons");
        let uwsgi = "master = true\nsocket = <dir>/socket\n";
        let theirs = life(&world, Side::Uwsgi, uwsgi);
        assert!(theirs.len() == 2 && theirs[0] == theirs[1], "{theirs:?}");
        assert_eq!(life(&world, Side::Liege, uwsgi), theirs, "handed on");
        assert_eq!(life(&world, Side::Liege, "command = sleep 1000\n"), theirs, "carried out by liege itself");
    });
}
