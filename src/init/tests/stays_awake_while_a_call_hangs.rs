//! A call that hangs (a full pipe, a fifo nobody reads, a file system whose daemon has stopped) holds up its step and nothing
//! else: pid 1 reaps, hears a stop, and ends at once.
#![allow(missing_docs)]

mod world;

use liege_plan::{Account, Act, Exit, FromInit, Mount, MountFlags, Phase, Place, Step, ToInit, Umount, Wait};
use liege_sys::wait::Ended;
use world::*;

/// More than the socket of the vassal's output holds.
const FLOOD: usize = 600_000;

fn write(path: &str, append: bool) -> Act {
    Act::Write { path: path.into(), text: "x".into(), append }
}

/// A vassal whose last step is this one; it has been announced, and somebody in the vassal waits for a line in `go` to die.
fn hanging(dir: &Dir, before: &[Step], act: &Act, as_user: bool) -> Vassal {
    let mut plan = plan(idle());
    plan.steps.push(exec(&format!("rm -f {go}; mkfifo {go}; ( ( read x < {go}; exit 5 ) & )", go = dir.file("go"))));
    plan.steps.extend_from_slice(before);
    plan.steps.push(Step { as_user, ..Step::root(Phase::AsRoot, act.clone()) });
    let last = u32::try_from(plan.steps.len() - 1).unwrap();
    let mut vassal = Vassal::start(plan);
    vassal.hears_until(|m| match m {
        FromInit::Entered { step } => (*step == last).then_some(()),
        _ => None,
    });
    vassal
}

/// Reaps and tells while the step lasts.
fn reaps(vassal: &mut Vassal, dir: &Dir, act: &Act) {
    std::fs::write(dir.file("go"), "\n").unwrap();
    vassal.hears_until(|m| match m {
        FromInit::OrphanDied { exit: Exit::Code(5), .. } => Some(()),
        FromInit::Failed { .. } | FromInit::Started { .. } => panic!("{act:?} does not hang: {m:?}"),
        _ => None,
    });
}

fn reaps_and_stops(mut vassal: Vassal, dir: &Dir, act: &Act) {
    reaps(&mut vassal, dir, act);
    vassal.tell(&ToInit::Stop);
    assert_eq!(vassal.ends(), Ended::Code(0), "{act:?}");
}

#[test]
fn a_stop_ends_every_call_on_a_file_system_that_does_not_answer() {
    let dir = Dir::new("silent");
    let (zip, silent) = (dir.file("app.zip"), dir.file("silent"));
    std::fs::write(dir.file("in"), "from the zip\n").unwrap();
    let packed = std::process::Command::new("zip").args(["-qj", &zip, &dir.file("in")]).status();
    assert!(packed.expect("apt-get install zip").success());
    std::fs::create_dir(&silent).unwrap();
    // Nothing of it is in the kernel's memory yet, so every path below is asked for.
    let stop = "for p in /proc/[0-9]*; do read n < $p/comm; test $n != fuse-zip || kill -STOP ${p#/proc/}; done";
    let before = [exec(&format!("fuse-zip {zip} {silent}")), exec(stop)];
    let path = |name: &str| format!("{silent}/{name}");
    let mount = |source: String, target: String, flags| {
        Act::Mount(Mount { fstype: String::new(), source, target, flags: MountFlags(flags), data: String::new() })
    };
    let umount = |recursive| Act::Umount(Umount { target: path("in"), detach: recursive, force: false, recursive });
    for act in [
        Act::Chdir(path("in")),
        Act::Mkdir(path("in/new")),
        Act::Chmod(path("in"), 0o700),
        Act::Chown(path("in"), Account::Number(1), Account::Number(1)),
        Act::Create(path("in")),
        write(&path("in"), false),
        write(&path("in"), true),
        Act::WriteFifo(path("in"), "x".into()),
        Act::Unlink(path("in")),
        mount(path("in"), "/mnt".into(), 4096),
        mount("/mnt".into(), path("in"), 4096),
        umount(false),
        umount(true),
        Act::WaitFor(Wait::Mountpoint(path("in"))),
        Act::PivotRoot { new: path("in"), old: path("in/old") },
        Act::Chroot(path("in")),
    ] {
        reaps_and_stops(hanging(&dir, &before, &act, false), &dir, &act);
    }
}

#[test]
fn a_stop_ends_a_line_that_nobody_reads() {
    let dir = Dir::new("flood");
    for as_user in [false, true] {
        let act = Act::Print("x".repeat(FLOOD));
        reaps_and_stops(hanging(&dir, &[], &act, as_user), &dir, &act);
    }
}

#[test]
fn a_fifo_is_written_to_when_its_reader_comes() {
    let dir = Dir::new("fifo-write");
    let (fifo, act) = (dir.file("fifo"), write(&dir.file("fifo"), false));
    let mut vassal = hanging(&dir, &[exec(&format!("mkfifo {fifo}"))], &act, false);
    reaps(&mut vassal, &dir, &act);
    assert_eq!(std::fs::read_to_string(&fifo).unwrap(), "x");
    vassal.started();
}

#[test]
fn a_step_of_the_end_that_hangs_has_its_time_and_no_more() {
    let dir = Dir::new("fifo-end");
    let fifo = dir.file("fifo");
    let mut plan = plan(shell(&format!("mkfifo {fifo}")));
    plan.at_exit_timeout_ms = 200;
    plan.at_exit = vec![Step::root(Phase::AsUserAtexit, write(&fifo, true)), exec("echo last")];
    let mut vassal = Vassal::start(plan);
    let detail = "killed by SIGKILL (it had 200 ms)".to_owned();
    assert_eq!(vassal.failed(), FromInit::Failed { at: Place::AtExit(0), errno: 0, detail, fatal: false });
    assert_eq!(vassal.ends(), Ended::Code(0));
    assert_eq!(vassal.printed(), "last\n");
}

#[test]
fn a_directory_entered_elsewhere_is_entered_for_all_later_steps_and_the_app() {
    let mut plan = plan(shell("pwd"));
    plan.steps.extend([
        Step { as_user: true, ..Step::root(Phase::AsRoot, Act::Chdir("/usr".into())) },
        Step::root(Phase::AsRoot, Act::Chdir("lib".into())),
        exec("pwd"),
    ]);
    let mut vassal = Vassal::start(plan);
    assert_eq!(
        [vassal.line(), vassal.line()],
        ["/usr/lib", "/usr/lib"].map(|d| std::fs::canonicalize(d).unwrap().to_str().unwrap().to_owned())
    );
}

#[test]
fn a_directory_the_user_may_not_enter_fails_the_step() {
    let dir = Dir::new("closed-step");
    std::fs::set_permissions(&dir.0, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let mut plan = plan(idle());
    plan.steps.push(Step { as_user: true, ..Step::root(Phase::AsUser, Act::Chdir(dir.file(""))) });
    let FromInit::Failed { at: Place::Step(2), errno: 13, fatal: true, .. } = Vassal::start(plan).failed() else { panic!() };
}
