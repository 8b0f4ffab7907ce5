//! The facts that mount health and teardown stand on, asked of the kernel this runs on and printed as a table. Where one of them no
//! longer holds, it fails here, with its name, and not as a riddle in a vassal's life.

use std::fs;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use liege_integration_tests::apps::user;
use liege_integration_tests::faults::{Filesystem, Kind, Owner};
use liege_integration_tests::procs::{self, Process};
use liege_integration_tests::wait::breathe;
use liege_integration_tests::{Host, SHORT, story, wait_for, wait_until};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use nix::unistd::pivot_root;

/// Whoever has not been answered by then is not answered.
const PATIENCE: Duration = Duration::from_millis(300);

#[test]
fn what_root_and_owner_see() {
    story(|host| {
        println!("{:<12} {:<26} {:<60} waiting", "mount", "statfs by root", "statfs by its owner");
        for (state, blocks) in [("healthy", false), ("killed", false), ("stopped", true), ("queue", true), ("swallow", true)] {
            let mounted = Mounted::new(host, &format!("seen-{state}"));
            mounted.bring_to(state);
            let (root, owner) = (Asked::by_root(&mounted.path), Asked::by_owner(&mounted.path));
            let (root_sees, owner_sees) = (root.answer(), owner.answer());
            println!("{state:<12} {root_sees:<26} {owner_sees:<60} {}", mounted.waiting());
            assert_eq!(root_sees, "success, 0 blocks", "root sees nothing of a user's mount: {state}");
            assert_eq!(owner.blocks(), blocks, "{state}: the owner sees {owner_sees}");
            match state {
                "healthy" => assert_eq!(owner_sees, "success, 1000 blocks"),
                "killed" => assert!(owner_sees.contains("not connected"), "{owner_sees}"),
                _ => assert_eq!(mounted.waiting(), 1, "{state}: a request is under way"),
            }
            if blocks {
                let (other, dies) = (Asked::by_owner(&mounted.path), owner.dies_by_kill());
                println!("{:<39} kill -9 frees it: {dies}; abort frees it after {:.1?}", "", mounted.abort_and_time(&other));
                assert_eq!(dies, state != "swallow", "only who waits for a request that was read is unkillable: {state}");
            }
        }
    });
}

#[test]
fn minors_come_back_at_once_and_an_abort_fd_does_not() {
    story(|host| {
        let first = Mounted::new(host, "first");
        let minor = first.minor();
        let mut abort = fs::File::options().write(true).open(first.connection().join("abort")).expect("abort is there");
        first.order("exit");
        wait_until("the connection to go", SHORT, || !first.connection().exists());
        let second = Mounted::new(host, "second");
        println!("minor {minor} was reused as {}", second.minor());
        assert_eq!(second.minor(), minor, "the kernel takes the lowest free one: what recycles minors needs this");
        let written = abort.write(b"1");
        println!("a write to the old abort: {written:?}");
        assert!(Asked::by_owner(&second.path).answer().contains("1000 blocks"), "the successor was hurt");
    });
}

#[test]
fn an_fd_names_its_connection() {
    story(|host| {
        let mounted = Mounted::new(host, "mount");
        let pid = mounted.daemon.pid;
        let named = fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("our own child").flatten().find_map(|entry| {
            let text = fs::read_to_string(entry.path()).ok()?;
            text.lines().find_map(|line| line.strip_prefix("fuse_connection:")?.trim().parse().ok())
        });
        println!("fdinfo says fuse_connection {named:?}, the minor is {}", mounted.minor());
        assert_eq!(named, Some(mounted.minor()), "a daemon is found by its open /dev/fuse");
    });
}

/// Open descriptors that keep a dead namespace's mounts.
#[test]
fn an_open_mountinfo_keeps_dead_mounts() {
    story(|host| {
        for (held, expected) in [("mountinfo", true), ("ns/mnt", true), ("root", false)] {
            let Jail { mut process, init, connection, .. } = Jail::new(host, &format!("held-{}", held.replace('/', "-")));
            let open = fs::File::open(format!("/proc/{}/{held}", init.pid)).expect("we are root");
            init.kill(Signal::SIGKILL);
            process.wait().expect("our own child");
            let start = Instant::now();
            while connection.exists() && start.elapsed() < PATIENCE {
                breathe(Duration::from_millis(1));
            }
            let keeps = connection.exists();
            drop(open);
            wait_until("the connection to go with the last fd", SHORT, || !connection.exists());
            println!("an open {held} of a dead vassal keeps its mounts: {keeps}");
            assert_eq!(keeps, expected, "{held}");
        }
    });
}

/// SIGKILL of a namespace's pid 1, and what it does not end.
#[test]
fn an_abort_ends_what_a_kill_cannot() {
    story(|host| {
        for (what, ends) in [("stopped", true), ("swallow", true), ("fd held outside", false), ("selfdeadlock", false)] {
            let mut jail = Jail::new(host, &format!("torn-{}", what.replace(' ', "-")));
            let faultfs = jail.filesystem.faultfs.clone().expect("it is a faultfs");
            let daemon = jail.processes().into_iter().find(|process| process.name == "faultfs").expect("the daemon");
            let mut held = None;
            match what {
                "stopped" => daemon.kill(Signal::SIGSTOP),
                "fd held outside" => {
                    held = Some(faultfs.leak_fd().expect("it obeys"));
                    faultfs.order("swallow").expect("it obeys");
                }
                order => faultfs.order(order).expect("it obeys"),
            }
            let path = jail.filesystem.mount.display().to_string();
            let inside = ["-m", "-p", "-t", &jail.init.pid.to_string(), "stat", "-f", &path].map(str::to_owned);
            let mut asker = Command::new("nsenter").args(inside).stdout(Stdio::null()).spawn().expect("nsenter");
            wait_until("a request under way", SHORT, || waiting(&jail.connection) >= 1);

            let start = Instant::now();
            jail.init.kill(Signal::SIGKILL);
            while jail.process.try_wait().expect("our own child").is_none() && start.elapsed() < PATIENCE {
                breathe(Duration::from_micros(100));
            }
            let ended = jail.process.try_wait().expect("our own child").is_some();
            let took = start.elapsed();
            let start = Instant::now();
            if !ended {
                fs::write(jail.connection.join("abort"), "1").expect("it can be aborted while it hangs");
                jail.process.wait().expect("our own child");
            }
            let after = if ended { format!("{took:.1?}") } else { format!("never; {:.1?} after abort", start.elapsed()) };
            println!("{what}, then SIGKILL of pid 1: the namespace is gone after {after}");
            assert_eq!(ended, ends, "{what}");
            drop(held);
            asker.wait().expect("our own child");
        }
    });
}

/// The vassal's own init watches its mount table, and turns the root meanwhile.
#[test]
fn mountinfo_is_polled_across_a_pivot_but_read_anew() {
    story(|host| {
        let root = host.open_dir("root");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let none: Option<&str> = None;
                unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace of this thread");
                mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("private");
                let before = fs::File::open("/proc/thread-self/mountinfo").expect("our own");
                let mut text = [0; 1 << 16];
                mount(Some("none"), &root, Some("tmpfs"), MsFlags::empty(), none).expect("a new root");
                fs::create_dir(root.join("old")).expect("a place for the old one");
                fs::create_dir(root.join("point")).expect("a place to mount on");
                pivot_root(&root, &root.join("old")).expect("pivot_root");
                std::env::set_current_dir("/").expect("the new root");
                umount2("/old", MntFlags::MNT_DETACH).expect("without the old one");
                let news = || {
                    let mut fds = [PollFd::new(before.as_fd(), PollFlags::POLLPRI)];
                    poll(&mut fds, PollTimeout::ZERO).expect("poll");
                    fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLPRI | PollFlags::POLLERR))
                };
                let first = news();
                let quiet = !news();
                mount(Some("none"), "/point", Some("tmpfs"), MsFlags::empty(), none).expect("something new");
                let told = news();
                let length = std::os::unix::fs::FileExt::read_at(&before, &mut text, 0).expect("it can be read");
                let shown = String::from_utf8_lossy(&text[..length]).contains("/point");
                println!("an fd on mountinfo from before pivot_root: polled {told}, shows what is new {shown}");
                assert!(first && quiet && told, "told of the pivot {first}, then quiet {quiet}, then told again {told}");
                assert!(!shown, "it is read as from the old root: open it anew to read");
            });
        });
    });
}

/// Where the fixture mounts fusectl.
const FUSECTL: &str = liege_integration_tests::story::FUSECTL;

/// A pid and mount namespace of util-linux's making, with a faultfs of root's in it.
struct Jail {
    process: Child,
    init: Process,
    filesystem: Filesystem,
    connection: std::path::PathBuf,
}

impl Jail {
    fn new(host: &Host, name: &str) -> Self {
        let filesystem = Filesystem::new(host, name, Kind::Faultfs, Owner::Root);
        let script = format!("{} && exec sleep 1000", filesystem.lines().trim_end().replace("hook-pre-jail = exec:", ""));
        let mut unshare = Command::new("unshare");
        // It complains about its own signal mask when its child is killed.
        unshare.args(["-m", "-p", "-f", "--mount-proc", "sh", "-c", &script]).stderr(Stdio::null());
        let process = unshare.spawn().expect("unshare is installed");
        let parent = i32::try_from(process.id()).expect("a pid is small");
        let init = wait_for("the first process", SHORT, || {
            procs::descendants(parent).into_iter().find(|process| process.name == "sleep")
        });
        let table = init.mountinfo();
        let line = table.lines().find(|line| line.contains("fuse.faultfs")).expect("the mount");
        let connection = Path::new(FUSECTL).join(minor_of(line).to_string());
        Self { process, init, filesystem, connection }
    }

    fn processes(&self) -> Vec<Process> {
        procs::descendants(self.init.pid)
    }
}

/// How many requests are under way.
fn waiting(connection: &Path) -> u32 {
    fs::read_to_string(connection.join("waiting")).unwrap_or_default().trim().parse().unwrap_or(0)
}

/// One faultfs of the user, outside of any vassal.
struct Mounted {
    path: std::path::PathBuf,
    filesystem: Filesystem,
    daemon: Process,
    minor: u32,
}

impl Mounted {
    fn new(host: &Host, name: &str) -> Self {
        let filesystem = Filesystem::new(host, name, Kind::Faultfs, Owner::User);
        filesystem.mount_here();
        let path = filesystem.mount.clone();
        let daemon = wait_for("the daemon", SHORT, || {
            let ours = procs::descendants(i32::try_from(std::process::id()).ok()?);
            ours.into_iter()
                .find(|process| process.name == "faultfs" && process.command_line().contains(&*path.to_string_lossy()))
        });
        let table = host.mountinfo();
        let minor = minor_of(table.lines().find(|line| line.contains(&*path.to_string_lossy())).expect("it is mounted"));
        Self { path, filesystem, daemon, minor }
    }

    fn bring_to(&self, state: &str) {
        match state {
            "healthy" => {}
            "killed" => self.daemon.kill(Signal::SIGKILL),
            "stopped" => self.daemon.kill(Signal::SIGSTOP),
            order => self.order(order),
        }
        if state == "killed" {
            wait_until("its end", SHORT, || !self.daemon.lives());
        }
    }

    fn order(&self, word: &str) {
        self.filesystem.faultfs.as_ref().expect("it is a faultfs").order(word).expect("it obeys");
    }

    fn minor(&self) -> u32 {
        self.minor
    }

    fn connection(&self) -> std::path::PathBuf {
        Path::new(FUSECTL).join(self.minor.to_string())
    }

    fn waiting(&self) -> u32 {
        waiting(&self.connection())
    }

    /// Ends the connection; how long until the one who waits is free.
    fn abort_and_time(&self, asked: &Asked) -> Duration {
        let start = Instant::now();
        fs::write(self.connection().join("abort"), "1").expect("it can be aborted while it hangs");
        wait_until("who waits to be free", SHORT, || asked.ended());
        start.elapsed()
    }
}

/// Leaves nothing: neither the connection, nor the daemon, nor the mount.
impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = fs::write(self.connection().join("abort"), "1");
        if self.daemon.lives() {
            self.daemon.kill(Signal::SIGKILL);
        }
        let _ = umount2(&self.path, MntFlags::MNT_DETACH);
    }
}

/// The third field of a line of mountinfo, without its major.
fn minor_of(line: &str) -> u32 {
    line.split(' ').nth(2).and_then(|device| device.strip_prefix("0:")?.parse().ok()).expect("a device")
}

/// A statfs in a process of its own.
struct Asked(std::cell::RefCell<Child>);

impl Asked {
    fn by_root(path: &Path) -> Self {
        Self::spawn(Command::new("stat"), path)
    }

    fn by_owner(path: &Path) -> Self {
        let (uid, gid) = user();
        let mut command = Command::new("setpriv");
        command.args([&format!("--reuid={uid}"), &format!("--regid={gid}"), "--clear-groups", "stat"]);
        Self::spawn(command, path)
    }

    fn spawn(mut command: Command, path: &Path) -> Self {
        command.args(["-f", "-c", "%b"]).arg(path).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().expect("stat is installed");
        let asked = Self(child.into());
        let start = Instant::now();
        while !asked.ended() && start.elapsed() < PATIENCE {
            breathe(Duration::from_millis(1));
        }
        asked
    }

    /// By the process table, so that its status is still there to be waited for.
    fn ended(&self) -> bool {
        self.0.borrow_mut().try_wait().expect("our own child").is_some()
    }

    fn blocks(&self) -> bool {
        !self.ended()
    }

    /// In words.
    fn answer(&self) -> String {
        if self.blocks() {
            let pid = self.0.borrow().id();
            let state = Process::read(i32::try_from(pid).expect("a pid is small")).map_or('?', |process| process.state);
            let place = fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
            return format!("blocks, state {state}, in {place}");
        }
        let mut child = self.0.borrow_mut();
        let mut said = [String::new(), String::new()];
        if let Some(mut out) = child.stdout.take() {
            let _ = std::io::Read::read_to_string(&mut out, &mut said[0]);
        }
        if let Some(mut err) = child.stderr.take() {
            let _ = std::io::Read::read_to_string(&mut err, &mut said[1]);
        }
        let [out, err] = said;
        if err.is_empty() {
            format!("success, {} blocks", out.trim())
        } else {
            err.trim().rsplit(": ").next().unwrap_or_default().to_owned()
        }
    }

    fn dies_by_kill(&self) -> bool {
        self.0.borrow_mut().kill().expect("our own child");
        let start = Instant::now();
        while !self.ended() && start.elapsed() < PATIENCE {
            breathe(Duration::from_millis(1));
        }
        self.ended()
    }
}
