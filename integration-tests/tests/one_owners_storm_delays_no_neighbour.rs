//! Six vassals of one owner lose their mounts together and cannot come back: an incident, whose canary never gets well. Their zips lie
//! beside a neighbour's. The neighbour's daemon is killed meanwhile, again and again: it is back at once each time.

use std::fs;

use liege_integration_tests::apps::{USER, ZipApp};
use liege_integration_tests::{LONG, SHORT, story};
use nix::sys::signal::Signal;

const TENANTS: usize = 6;

#[test]
fn one_owners_storm_delays_no_neighbour() {
    story(|host| {
        let emperor = host.emperor().start();
        let vassal = |app: &ZipApp, user: &str, hook: &str| {
            let (zip, mount) = (app.zip.display(), app.mount.display());
            format!(
                "[vassal]\ncommand = /bin/sleep 100000\nuid = {user}\ngid = {user}\n{hook}fuse-zip -r {zip} {mount}\n\
                 mountpoint-check = {mount}\nmountpoint-check-interval = 0.2\n"
            )
        };
        let apps: Vec<ZipApp> = (0..=TENANTS).map(|n| ZipApp::new(host, &format!("v{n}"), "well")).collect();
        let (neighbour, tenants) = apps.split_last().unwrap();
        for (n, app) in tenants.iter().enumerate() {
            emperor.write(&format!("tenant{n}.ini"), &vassal(app, USER, "exec-as-user = "));
        }
        emperor.write("neighbour.ini", &vassal(neighbour, "root", "hook-pre-jail = exec:"));
        let is_healthy = |app: &ZipApp| format!("{} is healthy", app.mount.display());
        for app in &apps {
            emperor.wait_log(&is_healthy(app));
        }
        let kill = |app: &ZipApp| {
            emperor.vassal_with(&app.mount.display().to_string()).unwrap().process("fuse-zip").kill(Signal::SIGKILL)
        };

        let mark = emperor.mark();
        tenants.iter().for_each(|app| fs::remove_file(&app.zip).unwrap());
        tenants.iter().for_each(kill);
        emperor.wait_log_from(mark, &["have lost their mounts together"]);
        for round in 0..3 {
            let mark = emperor.mark();
            kill(neighbour);
            emperor.wait_cause(mark, "neighbour.ini", "mountpoint_dead");
            let back = emperor.look_for(mark, SHORT, |line| line.contains(&is_healthy(neighbour)));
            assert!(back.is_some(), "the neighbour is held in round {round}");
        }

        // The tenant mends what it broke: it needs no word of anybody's.
        let mark = emperor.mark();
        for (n, app) in tenants.iter().enumerate() {
            app.pack(&host.path(&format!("v{n}.src")), "well");
        }
        for app in tenants {
            assert!(emperor.look_for(mark, LONG * 2, |line| line.contains(&is_healthy(app))).is_some());
        }
    });
}
