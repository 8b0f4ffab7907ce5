//! Two FUSE mounts, one on the other, and the check on the inner one: whichever of the two hangs is named, and only that one.

use std::time::Instant;

use liege_integration_tests::faults::{Filesystem, Kind, Owner, Pace, Victim};
use liege_integration_tests::{LONG, SHORT, story};

#[derive(Clone, Copy, PartialEq)]
enum Hanging {
    Outer,
    Inner,
}

fn charged(which: Hanging) {
    story(move |host| {
        let emperor = host.emperor().start();
        let outer = Filesystem::new(host, "outer", Kind::Faultfs, Owner::Root);
        let mut inner = Filesystem::new(host, "inner", Kind::Faultfs, Owner::Root);
        let outer_path = outer.mount.display().to_string();
        inner.move_to(outer.mount.join("sub"));
        let inner_path = inner.mount.display().to_string();
        // The app lives from the inner one, so both are needed; the outer one must come first.
        let victim = Victim::new(host, "nested", inner, "", Pace::SUITE).after(&outer.lines());
        emperor.write(&victim.name, &victim.text());
        victim.until_served(Instant::now(), SHORT).unwrap_or_else(|why| panic!("{why}"));
        emperor.wait_log(&format!("{inner_path} is healthy"));
        let mark = emperor.mark();

        let (hanging, guilty, innocent) = match which {
            Hanging::Outer => (&outer, &outer_path, &inner_path),
            Hanging::Inner => (&victim.filesystem, &inner_path, &outer_path),
        };
        hanging.faultfs.as_ref().expect("it is a faultfs").order("swallow").expect("it obeys");
        let line = emperor.wait_cause(mark, &victim.name, "mountpoint_hung");
        assert!(names(&line, guilty), "the mount that hangs, {guilty}, is not named: {line}");
        // Where the outer one hangs, the watched path may be named too; where the inner one does, the outer one is nobody's business.
        assert!(which == Hanging::Outer || !names(&line, innocent), "{innocent} does not hang: {line}");
        victim.until_served(Instant::now(), LONG).unwrap_or_else(|why| panic!("{why}"));
    });
}

#[test]
fn the_outer_mount_hangs() {
    charged(Hanging::Outer);
}

#[test]
fn the_inner_mount_hangs() {
    charged(Hanging::Inner);
}

/// Whether a path stands in a line, and not only as the beginning of a longer one.
fn names(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| !line[at + path.len()..].starts_with('/'))
}
