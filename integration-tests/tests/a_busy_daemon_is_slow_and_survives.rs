//! fuse-zip unpacks a member when it is opened, and answers nobody meanwhile: with a big one that takes longer than the check's
//! timeout. It works, so it is slow and not hung, and lives.
//!
//! One that does not answer and is not late yet is shown as slow too: long before a patient check has its verdict.

use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use liege_integration_tests::faults::{Filesystem, Kind, Owner, Pace, Victim};
use liege_integration_tests::scrape::{ANY_PORT, Listener};
use liege_integration_tests::tools::run_liege;
use liege_integration_tests::{Emperor, Host, SHORT, story, wait_until};

/// Bytes of the member.
const BIG: u64 = 700 << 20;

/// How often it is opened before it counts as never slow.
const OPENINGS: u32 = 5;

#[test]
fn a_busy_fuse_zip_is_slow_and_survives() {
    story(|host| {
        let filesystem = Filesystem::new(host, "big", Kind::FuseZip, Owner::User);
        let source = host.path("big").join("source");
        fs::File::create(source.join("member")).and_then(|file| file.set_len(BIG)).expect("a sparse file");
        let status = Command::new("zip").args(["-q", "-1", "../source.zip", "member"]).current_dir(&source).status();
        assert!(status.expect("zip is installed: make deps").success(), "zip failed");
        let alone = time_alone(host, &host.path("big").join("source.zip"));
        println!("to open the member takes {alone:.1?}");
        let emperor = host.emperor().start();
        // Slow is destroyed after ten timeouts: between a third and three times as long as it took.
        let timeout = alone.mul_f64(1.0 / 3.0);
        let pace = Pace { interval: 0.1, timeout: timeout.as_secs_f64() };
        let victim = Victim::new(host, "big", filesystem, "", pace);
        emperor.write(&victim.name, &victim.text());
        victim.until_served(Instant::now(), SHORT).unwrap_or_else(|why| panic!("{why}"));
        let mount = victim.filesystem.mount.display().to_string();
        emperor.wait_log(&format!("{mount} is healthy"));
        let vassal = victim.vassal(&emperor).expect("it runs");
        let mark = emperor.mark();

        // A machine may be faster than it was when it was measured: each opening unpacks the member anew.
        let slow = format!("{mount} is slow");
        for _ in 0..OPENINGS {
            let took = open_as_owner(vassal.init.pid, &format!("{mount}/member"));
            println!("fuse-zip answered nothing else for {took:.1?} of {timeout:.1?}");
            if emperor.log()[mark..].iter().any(|line| line.contains(&slow)) {
                break;
            }
        }
        emperor.wait_log_from(mark, &[&slow]);
        emperor.wait_log_from(mark, &[&format!("{mount} is healthy")]);
        assert!(vassal.init.lives(), "a daemon that works was destroyed");
        assert!(!emperor.log()[mark..].iter().any(|line| line.contains("is hung")), "work was taken for a hang");
    });
}

#[test]
fn one_without_an_answer_is_slow_long_before_it_is_late() {
    story(|host| {
        let emperor = host.emperor().arg("--emperor-metrics").arg(ANY_PORT).start();
        let pace = Pace { interval: 0.2, timeout: 600.0 };
        let victim = Victim::new(host, "app", Filesystem::new(host, "app", Kind::Faultfs, Owner::User), "", pace);
        emperor.write(&victim.name, &victim.text());
        victim.until_served(Instant::now(), SHORT).unwrap_or_else(|why| panic!("{why}"));
        let mount = victim.filesystem.mount.display().to_string();
        emperor.wait_log(&format!("{mount} is healthy"));
        let (vassal, mark) = (victim.vassal(&emperor).expect("it runs"), emperor.mark());

        victim.order("queue").expect("it obeys");
        emperor.wait_log_from(mark, &[&format!("{mount} is slow"), "no answer for 1 s yet"]);
        let up = |state| format!("liege_mountpoint_up{{vassal=\"app.ini\",mountpoint=\"{mount}\",state=\"{state}\"}}");
        Listener::of(&emperor).wait_value(&up("slow"), SHORT, |up| up == 0.0);
        assert!(status(&emperor).contains(&format!("{mount}:slow")), "{}", status(&emperor));

        victim.order("healthy").expect("it obeys");
        emperor.wait_log_from(mark, &[&format!("{mount} is healthy")]);
        assert!(vassal.init.lives(), "it was destroyed");
        Listener::of(&emperor).wait_value(&up("healthy"), SHORT, |up| up == 1.0);
        let told = emperor.log()[mark..].iter().filter(|line| line.contains(&format!("{mount} is slow"))).count();
        assert_eq!(told, 1, "told once");
    });
}

fn status(emperor: &Emperor) -> String {
    run_liege(&[OsStr::new("status"), OsStr::new("--control"), emperor.control.as_os_str()]).1
}

/// Opens a member as its owner, in its own root, because no other user may, and says how long that took.
fn open_as_owner(init: i32, member: &str) -> Duration {
    let (user, init) = (liege_integration_tests::apps::USER, init.to_string());
    let mut open = Command::new("nsenter");
    open.args([
        "-m",
        "-p",
        "-t",
        &init,
        "--",
        "setpriv",
        "--reuid",
        user,
        "--regid",
        user,
        "--init-groups",
        "head",
        "-c",
        "1",
        member,
    ]);
    let start = Instant::now();
    assert!(open.stdout(Stdio::null()).status().expect("nsenter").success(), "the member could not be opened");
    start.elapsed()
}

/// How long this machine takes to open the member, while no probe asks it.
fn time_alone(host: &Host, archive: &Path) -> Duration {
    let mount = host.open_dir("alone");
    let status = Command::new("fuse-zip").arg("-r").arg(archive).arg(&mount).status();
    assert!(status.expect("fuse-zip is installed: make deps").success(), "fuse-zip failed");
    let start = Instant::now();
    let read = fs::File::open(mount.join("member")).and_then(|mut file| file.read(&mut [0]));
    let took = start.elapsed();
    nix::mount::umount2(&mount, nix::mount::MntFlags::MNT_DETACH).expect("our own mount");
    assert_eq!(read.expect("the member can be read"), 1);
    took
}

/// The mount is the host's, and the vassal has it to look at.
#[test]
fn so_is_a_daemon_of_the_hosts_that_works() {
    story(|host| {
        let filesystem = Filesystem::new(host, "shared", Kind::Faultfs, Owner::RootForAll);
        filesystem.mount_here();
        let (mount, faultfs) = (filesystem.mount.display(), filesystem.faultfs.as_ref().expect("it is a faultfs"));
        let emperor = host.emperor().start();
        let checked = format!("mountpoint-check = {mount}\nmountpoint-check-interval = 0.2\nmountpoint-check-timeout = 1\n");
        emperor.write("shared.ini", &format!("[vassal]\ncommand = /bin/sleep 100000\n{checked}uid = root\n"));
        emperor.wait_log(&format!("{mount} is healthy"));
        let (vassal, mark) = (emperor.vassal("sleep"), emperor.mark());
        faultfs.order("slow 600000").expect("it obeys");
        let line = emperor.wait_log_from(mark, &[&format!("{mount} is slow")]);
        assert!(line.contains("its daemon faultfs"), "it is found: {line}");
        faultfs.order("healthy").expect("it obeys");
        emperor.wait_log_from(mark, &[&format!("{mount} is healthy")]);
        assert!(vassal.init.lives(), "a daemon that works was taken for one that hangs");
        emperor.remove("shared.ini");
        wait_until("it to be gone", SHORT, || !vassal.init.lives());
        faultfs.order("exit").expect("it obeys");
    });
}
