//! A vassal that is destroyed takes its own FUSE connections along and no other's: not the host's, although they stand in its mount
//! table; not its neighbour's; not another emperor's; and not those that got the number of one it used to have.
//!
//! The kernel gives the lowest free number to the next connection, so the numbers are recycled here on purpose, between the moment
//! the daemon has seen a mount and the moment it destroys the vassal.

use std::fs;
use std::time::Instant;

use liege_integration_tests::faults::{Filesystem, Kind, Owner, Pace, Victim};
use liege_integration_tests::leaks::minor_of;
use liege_integration_tests::{Emperor, Host, LONG, SHORT, Vassal, procs, story, wait_for, wait_until};
use nix::mount::{MntFlags, umount2};

/// How often the numbers are recycled.
const ROUNDS: usize = 4;

#[test]
fn foreign_mounts_are_never_aborted() {
    story(|host| {
        let before = Foreign::mount(host, "host-before");
        let (emperor, other) =
            (host.emperor().arg("--emperor-throttle").arg("10").never_flapping().start(), another_emperor(host));
        let victim = Double::start(host, &emperor, "victim");
        let neighbour = Double::start(host, &emperor, "neighbour");
        let stranger = Double::start(host, &other, "stranger");
        let after = Foreign::mount(host, "host-after");
        let mine = emperor.mark();

        for _ in 0..2 {
            victim.hang_until_replaced(&emperor);
            for foreign in [&before, &after] {
                foreign.assert_serves("a mount of the host");
            }
            neighbour.assert_untouched("a neighbour");
            stranger.assert_untouched("another emperor's vassal");
        }
        assert!(emperor.log()[mine..].iter().all(|line| !line.contains("neighbour.ini")), "the neighbour was disturbed");
    });
}

#[test]
fn a_recycled_number_is_not_the_old_connection() {
    story(|host| {
        let emperor = host.emperor().arg("--emperor-throttle").arg("10").never_flapping().start();
        let victim = Double::start(host, &emperor, "victim");
        for round in 0..ROUNDS {
            let vassal = victim.check.vassal(&emperor).expect("it runs");
            // The second mount goes in order: its number is free, and the daemon may still remember it.
            let minor = minor_of(&vassal.init.mountinfo(), &victim.second.mount).expect("the second mount is there");
            victim.second.faultfs.as_ref().expect("it is a faultfs").order("exit").expect("it obeys");
            let heir = heir_of(host, minor, round);
            victim.hang_until_replaced(&emperor);
            heir.iter().for_each(|foreign| foreign.assert_serves("the heir of the number"));
        }
    });
}

#[test]
fn a_recycled_number_may_be_a_neighbours() {
    story(|host| {
        let emperor = host.emperor().arg("--emperor-throttle").arg("10").never_flapping().start();
        let (victim, neighbour) = (Double::start(host, &emperor, "victim"), Double::start(host, &emperor, "neighbour"));
        let vassal = victim.check.vassal(&emperor).expect("it runs");
        let minor = minor_of(&vassal.init.mountinfo(), &victim.second.mount).expect("the second mount is there");
        victim.second.faultfs.as_ref().expect("it is a faultfs").order("exit").expect("it obeys");
        // Mounted beside what the neighbour has, until one of them has inherited it: the machine may have other takers.
        let mut more: Vec<Filesystem> = Vec::new();
        let init = &neighbour.first_life.init;
        wait_for(&format!("the neighbour to inherit number {minor}"), LONG, || {
            let filesystem = Filesystem::new(host, &format!("more{}", more.len()), Kind::Faultfs, Owner::Root);
            filesystem.mount_beside(init);
            let inherited = minor_of(&init.mountinfo(), &filesystem.mount) == Some(minor);
            more.push(filesystem);
            inherited.then_some(())
        });
        victim.hang_until_replaced(&emperor);
        neighbour.assert_untouched("the neighbour with the number");
        for filesystem in &more {
            let alive = filesystem.faultfs.as_ref().map(|faultfs| faultfs.order("healthy"));
            assert!(matches!(alive, Some(Ok(()))), "a mount of the neighbour was aborted: {alive:?}");
        }
    });
}

/// The vassal was born with a mount of the host's, which ends; then a mount of its own gets the number, and hangs unkillably.
#[test]
fn an_inherited_number_that_is_used_again_is_the_vassals_own() {
    story(|host| {
        let foreign = Foreign::mount(host, "host-before");
        let emperor = host.emperor().start();
        let victim = Victim::new(host, "heir", Filesystem::new(host, "heir", Kind::Faultfs, Owner::Root), "", Pace::SUITE)
            .after(&format!("hook-pre-jail = umount:{}\n", foreign.filesystem.mount.display()));
        emperor.write(&victim.name, &victim.text());
        victim.until_served(Instant::now(), SHORT).unwrap_or_else(|why| panic!("{why}"));
        let vassal = victim.vassal(&emperor).expect("it runs");
        foreign.filesystem.faultfs.as_ref().expect("it is a faultfs").order("exit").expect("it obeys");
        let mut more: Vec<Filesystem> = Vec::new();
        wait_for(&format!("the vassal to get number {}", foreign.minor), LONG, || {
            let filesystem = Filesystem::new(host, &format!("more{}", more.len()), Kind::Faultfs, Owner::Root);
            filesystem.mount_beside(&vassal.init);
            let is_heir = minor_of(&vassal.init.mountinfo(), &filesystem.mount) == Some(foreign.minor);
            more.push(filesystem);
            is_heir.then_some(())
        });
        let heir = more.last().and_then(|filesystem| filesystem.faultfs.as_ref()).expect("it is a faultfs");
        heir.order("selfdeadlock").expect("it obeys");

        let processes = vassal.processes();
        emperor.remove(&victim.name);
        wait_until("nothing to be left of it", SHORT, || vassal.is_gone(&processes));
    });
}

/// It is nobody's but the vassals' that were born with it, and none of theirs.
#[test]
fn a_mount_the_host_has_let_go_of_is_still_not_the_vassals_own() {
    story(|host| {
        let foreign = Foreign::mount(host, "host-before");
        let emperor = host.emperor().arg("--emperor-throttle").arg("10").never_flapping().start();
        // Else what the host unmounts goes from them too.
        let [victim, neighbour] = ["victim", "neighbour"]
            .map(|name| Double::start_after(host, &emperor, name, "hook-pre-jail = exec:mount --make-rprivate /\n"));
        umount2(&foreign.filesystem.mount, MntFlags::MNT_DETACH).expect("it is mounted");
        assert_eq!(minor_of(&host.mountinfo(), &foreign.filesystem.mount), None);
        victim.hang_until_replaced(&emperor);
        neighbour.assert_untouched("a neighbour");
        let (path, text) = foreign.filesystem.hello();
        let seen = format!("/proc/{}/root{}", neighbour.first_life.init.pid, path.display());
        assert_eq!(fs::read_to_string(seen).expect("the neighbour still has it"), text);
    });
}

/// A second daemon, with files of its own.
fn another_emperor(host: &Host) -> std::rc::Rc<Emperor> {
    let (watched, state) = (host.path("others"), host.path("state2"));
    fs::create_dir_all(&watched).expect("mkdir in our own directory");
    let control = host.path("control2.sock");
    let arguments = ["--emperor", "--emperor-use-clone", "--emperor-state-dir", "--emperor-control"].map(str::to_owned);
    let values = [watched.clone().into_os_string(), "fs,pid".into(), state.into(), control.into()];
    let launch = host.emperor().only_my_arguments(&watched);
    arguments.into_iter().zip(values).fold(launch, |launch, (key, value)| launch.arg(key).arg(value)).start()
}

/// Mounts of the host until one has this number. All of them stay.
fn heir_of(host: &Host, minor: u32, round: usize) -> Vec<Foreign> {
    let mut heirs = Vec::new();
    wait_for(&format!("somebody to inherit number {minor}"), LONG, || {
        heirs.push(Foreign::mount(host, &format!("heir{round}-{}", heirs.len())));
        heirs.iter().any(|foreign| foreign.minor == minor).then_some(())
    });
    heirs
}

/// A mount of the host, with its daemon.
struct Foreign {
    filesystem: Filesystem,
    minor: u32,
}

impl Foreign {
    fn mount(host: &Host, name: &str) -> Self {
        let filesystem = Filesystem::new(host, name, Kind::Faultfs, Owner::Root);
        filesystem.mount_here();
        let minor = minor_of(&host.mountinfo(), &filesystem.mount).expect("it is mounted");
        Self { filesystem, minor }
    }

    #[track_caller]
    fn assert_serves(&self, who: &str) {
        let (path, text) = self.filesystem.hello();
        let read = fs::read_to_string(&path);
        assert!(read.as_ref().is_ok_and(|read| *read == text), "{who}, number {}: {read:?}", self.minor);
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = umount2(&self.filesystem.mount, MntFlags::MNT_DETACH); // its daemon ends by itself then
    }
}

/// A vassal with two mounts, of which one is watched.
struct Double {
    check: Victim,
    second: Filesystem,
    first_life: Vassal,
}

impl Double {
    fn start(host: &Host, emperor: &Emperor, name: &str) -> Self {
        Self::start_after(host, emperor, name, "")
    }

    /// These lines of its file come first.
    fn start_after(host: &Host, emperor: &Emperor, name: &str, lines: &str) -> Self {
        let second = Filesystem::new(host, &format!("{name}-second"), Kind::Faultfs, Owner::Root);
        let first = Filesystem::new(host, name, Kind::Faultfs, Owner::User);
        let check = Victim::new(host, name, first, "", Pace::SUITE).after(lines).with(&second.lines());
        emperor.write(&check.name, &check.text());
        check.until_served(Instant::now(), SHORT).unwrap_or_else(|why| panic!("{name}: {why}"));
        emperor.wait_log_from(0, &[&format!("{} is healthy", check.filesystem.mount.display())]);
        let first_life = check.vassal(emperor).expect("it runs");
        Self { check, second, first_life }
    }

    #[track_caller]
    fn hang_until_replaced(&self, emperor: &Emperor) {
        let before = self.check.vassal(emperor).expect("it runs");
        let processes: Vec<procs::Process> = before.processes();
        let mark = emperor.mark();
        self.check.order("swallow").expect("it obeys");
        emperor.wait_cause(mark, &self.check.name, "mountpoint_hung");
        wait_until("nothing to be left of the old life", LONG, || before.is_gone(&processes));
        self.check.until_served(Instant::now(), LONG).unwrap_or_else(|why| panic!("{why}"));
        emperor.wait_log_from(mark, &[&format!("{} is healthy", self.check.filesystem.mount.display())]);
    }

    #[track_caller]
    fn assert_untouched(&self, who: &str) {
        assert!(self.first_life.init.lives(), "{who} was destroyed");
        assert!(self.check.serves(), "{who} does not serve");
        let figures = self.first_life.init.mountinfo();
        assert!(minor_of(&figures, &self.second.mount).is_some(), "{who} has lost a mount");
        let alive = self.second.faultfs.as_ref().map(|faultfs| faultfs.order("healthy"));
        assert!(matches!(alive, Some(Ok(()))), "{who}: its second daemon has ended: {alive:?}");
    }
}
