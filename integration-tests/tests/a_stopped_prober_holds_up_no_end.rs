//! The prober is stopped while nobody asks it anything, and then it is needed: the end of a vassal that no check watches is held up by a
//! mount of its own. That is noticed all the same, another prober takes over, and what was asked of the first is asked of it.

use std::time::Instant;

use liege_integration_tests::faults::{Filesystem, Kind, Owner, Pace, Victim};
use liege_integration_tests::gauge::is_helper;
use liege_integration_tests::{LONG, SHORT, procs, story, wait_for, wait_until};
use nix::sys::signal::Signal;

#[test]
fn a_stopped_prober_holds_up_no_end() {
    story(|host| {
        let emperor = host.emperor().start();
        let filesystem = Filesystem::new(host, "stuck", Kind::Faultfs, Owner::User);
        let stuck = Victim::new(host, "stuck", filesystem, "deaf gnaw", Pace::SUITE).watching(None);
        emperor.write(&stuck.name, &stuck.text());
        stuck.until_served(Instant::now(), SHORT).unwrap_or_else(|why| panic!("{why}"));
        let processes = stuck.vassal(&emperor).expect("it runs").processes();
        let prober = wait_for("a prober, which keeps the exit of its connection", SHORT, || {
            procs::all().into_iter().find(|process| is_helper(process, emperor.pid))
        });
        prober.kill(Signal::SIGSTOP);
        wait_until("it to stop", SHORT, || prober.is_stopped());

        stuck.order("selfdeadlock").expect("it obeys");
        emperor.remove(&stuck.name);
        wait_until("nothing to be left of it", LONG, || processes.iter().all(|process| !process.lives()));
        emperor.wait_log("was stopped");
    });
}
