//! The walk: steps in order, the app after them, failures told by their place.
#![allow(missing_docs)]

mod world;

use liege_plan::{Act, Exit, FromInit, Mount, MountFlags, Phase, Place, Program, Step, ToInit, encode};
use liege_sys::wait::Ended;
use world::*;

#[test]
fn an_app_starts_as_a_child_of_pid_one_and_its_status_is_ours() {
    let mut vassal = Vassal::start(plan(shell("echo $$ $PPID; exit 7")));
    let pid = vassal.started();
    assert_eq!(vassal.line(), format!("{pid} 1"));
    assert_eq!(vassal.app_exited(), Exit::Code(7));
    assert_eq!(vassal.ends(), Ended::Code(7));
}

#[test]
fn steps_run_in_order_with_the_environment_and_the_directory_of_those_before() {
    let mut plan = plan(shell("echo $WHO in $PWD"));
    plan.steps.extend([
        exec("echo one"),
        Step::root(Phase::AsRoot, Act::Print("two".into())),
        Step::root(Phase::AsRoot, Act::Putenv("WHO=me".into())),
        Step::root(Phase::AsRoot, Act::Chdir("/usr".into())),
        exec("echo $WHO at $PWD"),
    ]);
    let mut vassal = Vassal::start(plan);
    // Between the two it may tell that /proc was mounted.
    let mut entered = || vassal.hears_until(|m| if let FromInit::Entered { step } = m { Some(*step) } else { None });
    assert_eq!([entered(), entered(), entered(), entered()], [2, 3, 5, 6], "the environment alone is put in without a word");
    for line in ["one", "two", "me at /usr", "me in /usr"] {
        assert_eq!(vassal.line(), line);
    }
}

#[test]
fn a_fatal_failure_ends_the_walk_with_status_one() {
    let mut plan = plan(idle());
    plan.steps.extend([exec("exit 3"), exec("echo never")]);
    let mut vassal = Vassal::start(plan);
    let expected = FromInit::Failed { at: Place::Step(2), errno: 0, detail: "exited with status 3".into(), fatal: true };
    assert_eq!(vassal.failed(), expected);
    assert_eq!(vassal.hears(), None);
    assert_eq!(vassal.ends(), Ended::Code(1));
    assert_eq!(vassal.printed(), "");
}

#[test]
fn a_failure_that_is_not_fatal_is_told_and_the_walk_goes_on() {
    let mut plan = plan(idle());
    plan.steps.push(Step { fatal: false, ..exec("kill -9 $$") });
    let mut vassal = Vassal::start(plan);
    let expected = FromInit::Failed { at: Place::Step(2), errno: 0, detail: "killed by SIGKILL".into(), fatal: false };
    assert_eq!(vassal.failed(), expected);
    vassal.started();
}

#[test]
fn a_mount_of_the_vassal_is_not_the_hosts() {
    let dir = Dir::new("mount");
    let mut plan = plan(shell("grep -c liege-init-[0-9]*-mount /proc/self/mountinfo"));
    let mount = Mount {
        fstype: "tmpfs".into(),
        source: "none".into(),
        target: dir.0.to_str().unwrap().into(),
        flags: MountFlags(0),
        data: "size=64k".into(),
    };
    plan.steps.push(Step::root(Phase::AsRoot, Act::Mount(mount)));
    let mut vassal = Vassal::start(plan);
    vassal.started();
    assert_eq!(vassal.line(), "1");
    assert!(!liege_sys::mountinfo::own().unwrap().iter().any(|m| m.mount_point == dir.0));
}

#[test]
fn a_program_that_is_not_there_is_told_as_such() {
    let mut vassal = Vassal::start(plan(command(&["no-such-program", "x"])));
    let detail = "no no-such-program in the PATH of the vassal's root (/usr/bin:/bin:/usr/sbin:/sbin)".to_owned();
    assert_eq!(vassal.failed(), FromInit::Failed { at: Place::AppExec, errno: 2, detail, fatal: true });
    assert_eq!(vassal.ends(), Ended::Code(1));
}

#[test]
fn a_directory_the_user_may_not_enter_is_told_as_such() {
    let dir = Dir::new("closed");
    std::os::unix::fs::chown(&dir.0, Some(1), Some(1)).unwrap();
    std::fs::set_permissions(&dir.0, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let mut app = idle();
    app.identity = Some(nobody());
    app.chdir = Some(dir.0.to_str().unwrap().into());
    let detail = app.chdir.clone().unwrap();
    let mut vassal = Vassal::start(plan(app));
    assert_eq!(vassal.failed(), FromInit::Failed { at: Place::AppChdir, errno: 13, detail, fatal: true });
}

#[test]
fn an_identity_the_kernel_refuses_is_told_as_such() {
    let mut app = idle();
    let groups = vec![NOBODY; 70_000]; // more than the kernel's NGROUPS_MAX
    app.identity = Some(liege_plan::Identity { groups, ..nobody() });
    let mut vassal = Vassal::start(plan(app));
    let detail = format!("become uid {NOBODY} gid {NOBODY}");
    assert_eq!(vassal.failed(), FromInit::Failed { at: Place::AppIdentity, errno: 22, detail, fatal: true });
}

#[test]
fn a_plan_of_another_version_is_refused() {
    let mut vassal = Vassal::unlit(OWN);
    let mut plan = plan(idle());
    plan.version += 1;
    vassal.tell(&ToInit::Walk(Box::new(plan)));
    let FromInit::Failed { at: Place::Init, detail, fatal: true, .. } = vassal.failed() else { panic!() };
    assert!(detail.contains("two builds"), "{detail}");
    assert_eq!(vassal.ends(), Ended::Code(1));
}

#[test]
fn without_a_green_light_nothing_walks_and_nothing_is_said() {
    let mut vassal = Vassal::unlit(OWN);
    vassal.hang_up();
    assert_eq!(vassal.ends(), Ended::Code(0));
    assert_eq!(vassal.printed(), "");
}

#[test]
fn a_shell_app_runs_in_a_shell() {
    let mut vassal = Vassal::start(plan(app(Program::Shell("echo $((6*7))".into()))));
    assert_eq!(vassal.line(), "42");
}

/// A file that is written and taken away at once brings both in one read. Nothing tells of the second a second time.
#[test]
fn a_stop_that_comes_with_the_plan_is_heard() {
    let mut vassal = Vassal::unlit(OWN);
    let walk = encode(&ToInit::Walk(Box::new(plan(idle())))).unwrap();
    vassal.raw(&[walk, encode(&ToInit::Stop).unwrap()].concat());
    assert_eq!(vassal.ends(), Ended::Code(0));
}
