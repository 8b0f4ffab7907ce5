//! A check may reach its mount over a link or `..`, and so over another mount of the vassal's. Where the one it reaches hangs and the vassal
//! ends, that one is given up and no other: what was written to the mount on the way is saved, and the one that hangs costs no time.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use liege_integration_tests::archive::Archive;
use liege_integration_tests::faults::{Filesystem, Kind, Owner};
use liege_integration_tests::tools::need;
use liege_integration_tests::wait::slowness;
use liege_integration_tests::{Host, LONG, bar, story, wait_until};
use nix::sys::signal::Signal;

/// Much less than the `stop-timeout` of the vassal, and more than an archive takes.
const SOON: Duration = Duration::from_secs(30);

/// `way` makes the path of the check from the archive, which is not mounted yet, and the mount that will hang.
fn told(way: impl Fn(&Host, &Archive, &Path) -> String + Send + Sync) {
    need("unzip");
    for namespaces in [Some("fs,pid"), None] {
        story(|host| {
            let archive = Archive::new(host, "app");
            let hangs = Filesystem::new(host, "hangs", Kind::Faultfs, Owner::User);
            let check = way(host, &archive, &hangs.mount);
            let checks = format!(
                "mountpoint-check = {check}\nmountpoint-check-interval = 0.2\nmountpoint-check-timeout = 0.5\n\
                 mountpoint-check-tolerance = 1000\nstop-timeout = {}\n",
                120 * slowness()
            );
            let (identity, hook, command) = (archive.identity(), archive.hook(), archive.command("exec sleep 1001"));
            let emperor = host.emperor().namespaces(namespaces).start();
            emperor.write("v.ini", &format!("[vassal]\n{identity}{hook}{}{command}{checks}", hangs.lines()));
            archive.written(1);
            emperor.wait_log(&format!("{check} is healthy"));
            let vassal = emperor.vassal("sleep 1001");
            vassal.process("faultfs").kill(Signal::SIGSTOP);
            emperor.wait_log(&format!("{check} is hung"));

            let (mark, processes) = (emperor.mark(), vassal.processes());
            emperor.ask_well(&["stop", "v"]);
            wait_until("it to be gone", bar(SOON), || vassal.is_gone(&processes) && emperor.vassals().is_empty());
            assert!(archive.is_saved(), "{namespaces:?}: lost");
            let told = emperor.wait_log_from(mark, &["what was not written back is lost", "of a mount that hangs"]);
            assert!(told.contains(&format!("the daemon of {},", hangs.mount.display())), "{told}");
            assert!(!told.contains(&*archive.mount.to_string_lossy()), "{told}");
            wait_until("no mount to stay", LONG, || !host.mountinfo().contains(&*host.dir().to_string_lossy()));
        });
    }
}

#[test]
fn over_two_dots_that_follow_another_mount() {
    told(|host, archive, hangs| {
        let rest = hangs.strip_prefix(host.dir()).expect("it lies there");
        format!("{}/../{}", archive.mount.display(), rest.display())
    });
}

#[test]
fn over_a_link_on_another_mount() {
    told(|host, archive, hangs| {
        let link = host.path("link");
        std::os::unix::fs::symlink(hangs, &link).expect("our own directory");
        let packed = Command::new("zip").arg("-qjy").arg(&archive.zip).arg(&link).status().expect("zip is installed: make deps");
        assert!(packed.success(), "zip failed");
        liege_integration_tests::apps::own(&archive.zip);
        archive.mount.join("link").display().to_string()
    });
}

#[test]
fn over_a_link_beside_all_mounts() {
    told(|host, _, hangs| {
        let link = host.path("link");
        std::os::unix::fs::symlink(hangs, &link).expect("our own directory");
        link.display().to_string()
    });
}
