//! Ten vassals on one layer lose their mounts together, and the layer stays ill: whoever mounts it anew hangs from the start. One of
//! them tries, the others wait; when the layer is well they all return. The hang takes longer to be known than a run to count as settled.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use liege_integration_tests::faults::{Filesystem, Kind, Owner};
use liege_integration_tests::wait::holds_for;
use liege_integration_tests::{Emperor, story};

const VASSALS: usize = 10;
/// Starts in the ten seconds after a storm: half of them once by themselves, and one again and again. Each alone would be three times
/// as many.
const BOUND: usize = 20;

/// How many lines from a mark on say this.
fn count(emperor: &Emperor, mark: usize, pattern: &str) -> usize {
    emperor.log()[mark..].iter().filter(|line| line.contains(pattern)).count()
}

#[test]
fn a_layer_that_stays_ill_is_tried_by_one() {
    story(|host| {
        let (script, layer) = (host.path("mount.sh"), host.path("layer"));
        fs::write(&script, format!("#!/bin/sh\nexec {} $1 $2 $(cat $3)\n", host.helper("faultfs").display())).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(&layer, "").unwrap();

        let emperor = host.emperor().start();
        let served: Vec<Filesystem> =
            (0..VASSALS).map(|n| Filesystem::new(host, &format!("v{n}"), Kind::Faultfs, Owner::User)).collect();
        for (n, filesystem) in served.iter().enumerate() {
            let mount = filesystem.mount.display();
            let control = filesystem.faultfs.as_ref().expect("it takes orders").control.display();
            let text = format!(
                "[vassal]\ncommand = /bin/sleep 100000\n{}stop-timeout = 1\nexec-as-user = {} {mount} {control} {}\n\
                 mountpoint-check = {mount}\nmountpoint-check-interval = 0.2\nmountpoint-check-timeout = 1.5\n",
                filesystem.app_identity(),
                script.display(),
                layer.display()
            );
            emperor.write(&format!("v{n}.ini"), &text);
        }
        let all_answer = |mark: usize| {
            for filesystem in &served {
                emperor.wait_log_from(mark, &[&format!("{} is healthy", filesystem.mount.display())]);
            }
        };
        all_answer(0);

        fs::write(&layer, "swallow").unwrap();
        let mark = emperor.mark();
        served.iter().for_each(|filesystem| filesystem.faultfs.as_ref().unwrap().order("swallow").unwrap());
        let storm = emperor.wait_log_from(mark, &["have lost their mounts together"]);
        assert!(storm.contains(&format!("vassals that use {} have", layer.display())), "{storm}");
        holds_for("few starts while the layer is ill", Duration::from_secs(10), || {
            count(&emperor, mark, "started (app is pid") <= BOUND && count(&emperor, mark, "is well again") == 0
        });
        println!("{} starts of {VASSALS} vassals in ten seconds", count(&emperor, mark, "started (app is pid"));

        fs::write(&layer, "").unwrap();
        let well = emperor.mark();
        emperor.wait_log_from(well, &["is well again"]);
        all_answer(well);
        assert_eq!(count(&emperor, mark, "have lost their mounts together"), 1, "one incident");
    });
}
