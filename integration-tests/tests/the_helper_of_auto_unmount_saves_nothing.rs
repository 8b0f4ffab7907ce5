//! `-o auto_unmount` keeps a fusermount beside the daemon, which heeds no TERM and ends when the daemon does. No end waits for it, and
//! none tells it as a loss.

use std::time::{Duration, Instant};

use liege_integration_tests::archive::Archive;
use liege_integration_tests::{LONG, story, wait_until};

fn ends_at_once(options: &str) {
    for namespaces in [Some("fs,pid"), None] {
        story(|host| {
            let archive = Archive::new(host, "app");
            let emperor = host.emperor().namespaces(namespaces).start();
            let (zip, mount) = (archive.zip.display(), archive.mount.display());
            let hook =
                format!("exec-as-user = {}\n", options.replace("ZIP", &zip.to_string()).replace("MOUNT", &mount.to_string()));
            let text = format!("[vassal]\n{}{hook}command = sleep 1001\nstop-timeout = 40\n", archive.identity());
            emperor.write("v.ini", &text);
            emperor.wait_log("started");
            let has_helper = |emperor: &liege_integration_tests::Emperor| {
                emperor
                    .vassals()
                    .iter()
                    .flat_map(|vassal| vassal.processes())
                    .any(|one| one.command_line().starts_with("fusermount"))
            };
            assert!(has_helper(&emperor), "nothing is told here without one");
            let start = Instant::now();
            emperor.ask_well(&["stop", "v"]);
            wait_until("the vassal to be down", LONG, || emperor.vassals().is_empty());
            assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
            let told = emperor.log().into_iter().find(|line| line.contains("not written back"));
            assert_eq!(told, None, "{namespaces:?}");
        });
    }
}

#[test]
fn of_a_read_only_archive() {
    ends_at_once("fuse-zip -r -o auto_unmount ZIP MOUNT");
}

#[test]
fn of_an_archive_that_is_written() {
    ends_at_once("fuse-zip -o auto_unmount ZIP MOUNT");
}

#[test]
fn of_a_read_only_directory() {
    ends_at_once("bindfs --no-allow-other -o ro,auto_unmount /usr/share MOUNT");
}
