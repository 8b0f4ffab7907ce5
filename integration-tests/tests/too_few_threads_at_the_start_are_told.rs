//! A daemon that is started where too few processes and threads are left (`pids.max`) says so and ends with 1, wherever on its way it
//! meets the bound. It never panics.

use liege_integration_tests::groups::PidsGroup;
use liege_integration_tests::{LONG, story};

#[test]
fn too_few_threads_at_the_start_are_told() {
    let group = PidsGroup::new();
    for bound in 2..16 {
        group.bound(&bound.to_string());
        story(|host| {
            let words = group.wrapper();
            let emperor = host.emperor().under(&words.each_ref().map(String::as_str)).start_unheard();
            let (has_started, status) = emperor.start_or_end();
            if !has_started {
                // Its last words may be on their way.
                let is_told = |line: &str| line.contains("Resource temporarily unavailable") || line.contains("panicked");
                let told = emperor.look_for(0, LONG, is_told).unwrap_or_default();
                assert!(status.code() == Some(1) && !told.contains("panicked"), "{bound}: {status}: {told}");
            }
            assert!(emperor.log().iter().all(|line| !line.contains("panicked")), "{bound}");
        });
    }
}
