//! With a thousand vassals a scrape is answered in less than a tenth of a second, and neither guests who say nothing nor a crowd that
//! scrapes without end takes time from the loop.
//!
//! `SCRAPED` (1000): how many vassals.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use liege_integration_tests::apps::ZipApp;
use liege_integration_tests::scrape::{ANY_PORT, Listener};
use liege_integration_tests::{LONG, bar, get, procs, served, story};
use nix::sys::signal::Signal;

const GUESTS: usize = 1000;
const SCRAPERS: usize = 4;

#[test]
fn a_thousand_vassals_are_scraped_in_time() {
    story(|host| {
        let count: usize = std::env::var("SCRAPED").map_or(1000, |text| text.parse().expect("SCRAPED is a number"));
        let app = ZipApp::new(host, "app", "text");
        let emperor = host.emperor().arg("--emperor-metrics").arg(ANY_PORT).arg("--emperor-health-log").arg("0").start();
        let daemon = Listener::of(&emperor);
        for n in 0..count - 1 {
            emperor.write(&format!("customer{n:05}.ini"), "[vassal]\ncommand = /bin/sleep 100000\nuid = root\n");
        }
        emperor.write("app001.ini", &app.checked());
        #[allow(clippy::cast_precision_loss, reason = "few")]
        let all = count as f64;
        daemon.wait_value(r#"liege_vassals{phase="running"}"#, LONG, |running| running == all);
        served(app.port, "text", LONG);

        let turns_before = turns(daemon);
        let quiet = median((0..9).map(|_| scrape(daemon)).collect());
        println!("{count} vassals: a scrape takes {quiet:?} (median of 9), {} bytes", daemon.text().len());
        assert!(quiet < bar(Duration::from_millis(100)), "{quiet:?}");

        // Not by its vassal: that would look through all their trees.
        let mount = app.mount.display().to_string();
        let is_ours = |process: &procs::Process| process.name == "fuse-zip" && process.command_line().contains(&mount);
        let fuse = procs::all().into_iter().find(is_ours).expect("the daemon of the mount");

        // A crowd that says nothing, and one that never stops asking; some of it sends rubbish.
        let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
        let recovered = thread::scope(|scope| {
            let _stop = Stop(&stop);
            for n in 0..SCRAPERS {
                let (stop, answered) = (&stop, &answered);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        if n == 0 {
                            let rubbish = TcpStream::connect(("127.0.0.1", daemon.port));
                            rubbish.and_then(|mut guest| guest.write_all(&[0xff; 4096])).ok();
                        } else if get(daemon.port, "/metrics").is_ok() {
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
            let silent: Vec<_> = (0..GUESTS).filter_map(|_| TcpStream::connect(("127.0.0.1", daemon.port)).ok()).collect();
            let start = Instant::now();
            fuse.kill(Signal::SIGKILL);
            emperor.wait_cause(0, "app001.ini", "mountpoint_dead");
            served(app.port, "text", LONG);
            let recovered = start.elapsed();
            drop(silent);
            recovered
        });
        println!("served again {recovered:?} after a kill, beside a flood with {} answers", answered.into_inner());
        // On a machine that is busy with the crowd itself a turn may be interrupted; one that waited for somebody would be longer.
        let turns = turns_since(daemon, turns_before);
        println!("turns of the loop meanwhile: {} that took longer than half a second, of {}", turns.0, turns.1);
        assert_eq!(turns.0, 0, "no turn of the loop took long");
    });
}

/// Ends the crowd, also when the story fails: the scope waits for it.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How long one takes.
fn scrape(daemon: Listener) -> Duration {
    // A new snapshot each time.
    liege_integration_tests::wait::breathe(Duration::from_millis(600));
    let start = Instant::now();
    assert!(daemon.text().contains("liege_vassal_up"));
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Turns of the loop so far: up to half a second long, and all.
fn turns(daemon: Listener) -> (f64, f64) {
    let of = |series: &str| daemon.wait_value(series, LONG, |_| true);
    (of(r#"liege_loop_turn_duration_seconds_bucket{le="0.5"}"#), of("liege_loop_turn_duration_seconds_count"))
}

/// Since `before`: those longer than half a second, and all.
#[allow(clippy::cast_possible_truncation, reason = "whole numbers")]
fn turns_since(daemon: Listener, before: (f64, f64)) -> (i64, i64) {
    let after = turns(daemon);
    let all = after.1 - before.1;
    ((all - (after.0 - before.0)) as i64, all as i64)
}
