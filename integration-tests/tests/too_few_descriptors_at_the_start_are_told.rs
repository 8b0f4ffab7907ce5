//! A daemon that is started where it may open too few files (`RLIMIT_NOFILE`) says so and ends with 1, wherever on its way it meets the
//! bound. It never panics.

use liege_integration_tests::{LONG, story};

#[test]
fn too_few_descriptors_at_the_start_are_told() {
    for bound in 4..48 {
        story(|host| {
            let limit = format!("--nofile={bound}:{bound}");
            let emperor = host.emperor().under(&["prlimit", &limit]).start_unheard();
            let (has_started, status) = emperor.start_or_end();
            if has_started {
                assert_eq!(status.code(), Some(0), "{bound}");
            } else {
                // Below a handful the loader of programs itself finds no room.
                let is_told = |line: &str| line.contains("Too many open files") || line.contains("error while loading");
                let told = emperor.look_for(0, LONG, is_told).unwrap_or_default();
                assert!(matches!(status.code(), Some(1 | 127)) && !told.is_empty(), "{bound}: {status}: {:?}", emperor.log());
            }
            assert!(emperor.log().iter().all(|line| !line.contains("panicked")), "{bound}: {:?}", emperor.log());
        });
    }
}
