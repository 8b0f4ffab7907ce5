//! A check of something inside a FUSE mount that answers its owner only, by a path that leads there through a symbolic link or `..`. It is
//! looked at as the mount's owner, as the app would, and the death of its daemon is known.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Instant;

use liege_integration_tests::faults::{Filesystem, Kind, Owner, Pace, Victim};
use liege_integration_tests::{LONG, SHORT, story};
use nix::sys::signal::Signal;

/// The path below the story's directory that is checked, from the name of the file system's directory there.
type Way = fn(&str) -> String;

#[test]
fn a_check_through_links_sees_a_private_mount_die() {
    story(|host| {
        symlink(".", host.path("current")).expect("a link of our own");
        let _ = host.open_dir("other");
        let ways: [(&str, Way); 4] = [
            ("link", |name| format!("current/{name}/mount/hello")),
            ("dots", |name| format!("other/../{name}/mount/hello")),
            ("root", |name| format!("current/{name}/mount")),
            ("file", |name| format!("to-{name}")),
        ];
        let emperor = host.emperor().start();
        let victims = ways.map(|(name, way)| {
            let filesystem = Filesystem::new(host, name, Kind::FuseZip, Owner::User);
            symlink(Path::new("current").join(name).join("mount/hello"), host.path(&format!("to-{name}"))).expect("one more");
            let checked = host.path(&way(name));
            let victim = Victim::new(host, name, filesystem, "", Pace::SUITE).watching(Some(&checked));
            emperor.write(&victim.name, &victim.text());
            victim.until_served(Instant::now(), SHORT).unwrap_or_else(|why| panic!("{why}"));
            emperor.wait_log(&format!("{} is healthy", checked.display()));
            victim
        });
        for victim in &victims {
            let mark = emperor.mark();
            victim.daemon(&victim.vassal(&emperor).expect("it runs")).expect("it runs").kill(Signal::SIGKILL);
            emperor.wait_cause(mark, &victim.name, "mountpoint_dead");
            victim.until_served(Instant::now(), LONG).unwrap_or_else(|why| panic!("{why}"));
        }
    });
}
