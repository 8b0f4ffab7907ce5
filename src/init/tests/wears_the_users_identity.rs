//! What programs are started with: identity, mask, limits, signals, fds, rights.
#![allow(missing_docs)]

mod world;

use std::os::unix::fs::MetadataExt;

use liege_plan::{Act, FromInit, Mount, MountFlags, Phase, Place, Step, ToInit, Wait};
use liege_sys::limits;
use world::*;

fn as_user(act: Act) -> Step {
    Step { as_user: true, ..Step::root(Phase::AsUser, act) }
}

#[test]
fn hooks_and_app_have_all_ids_and_groups_of_the_user() {
    let ids = "grep -E '^(Uid|Gid|Groups):' /proc/self/status | while read a b c d e; do echo $a $b $c $d $e; done";
    let mut app = shell(ids);
    app.identity = Some(nobody());
    let mut plan = plan(app);
    plan.steps.push(exec_as_user(ids));
    let mut vassal = Vassal::start(plan);
    for _ in 0..2 {
        assert_eq!(vassal.line(), format!("Uid: {NOBODY} {NOBODY} {NOBODY} {NOBODY}"));
        assert_eq!(vassal.line(), format!("Gid: {NOBODY} {NOBODY} {NOBODY} {NOBODY}"));
        assert_eq!(vassal.line(), format!("Groups: {NOBODY}"));
    }
}

#[test]
fn acts_of_the_user_are_done_as_the_user() {
    let dir = Dir::new("acts");
    let (mine, roots) = (dir.file("mine"), dir.file("roots"));
    std::fs::set_permissions(&dir.0, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let mut plan = plan(idle());
    let write = |path: &str| Act::Write { path: path.into(), text: "x".into(), append: false };
    plan.steps.extend([as_user(write(&mine)), Step::root(Phase::AsRoot, write(&roots)), as_user(write(&roots))]);
    let mut vassal = Vassal::start(plan);
    let refused = FromInit::Failed { at: Place::Step(4), errno: 13, detail: String::new(), fatal: true };
    assert_eq!(vassal.failed(), refused);
    assert_eq!(std::fs::metadata(&mine).unwrap().uid(), NOBODY);
    let file = std::fs::metadata(&roots).unwrap();
    assert_eq!((file.uid(), file.mode() & 0o777), (0, 0o644));
}

#[test]
fn programs_start_clean() {
    // Signals blocked, ignored; the mask; fds; the limit of open files, which the daemon has changed for itself.
    let look = "echo $(ls /proc/self/fd) $(umask); grep -E '^Sig(Blk|Ign|Pnd):' /proc/self/status; ulimit -Sn; tr '\\0' ' ' < /proc/1/comm";
    let mut plan = plan(shell(look));
    let (_, hard) = limits::nofile().unwrap();
    plan.limits.nofile = (1000, hard);
    plan.steps.push(exec(look));
    let mut vassal = Vassal::start(plan);
    for _ in 0..2 {
        assert_eq!(vassal.line(), "0 1 2 3 0022");
        for name in ["Pnd", "Blk", "Ign"] {
            assert_eq!(vassal.line(), format!("Sig{name}:\t0000000000000000"));
        }
        assert_eq!(vassal.line(), "1000");
        assert_eq!(vassal.line(), "liege-init");
    }
}

#[test]
fn the_app_has_its_own_environment_mask_and_directory() {
    let mut app = shell("echo $A $B ${PATH:-none} $(umask) $PWD; grep NoNewPrivs /proc/self/status");
    app.env = vec![("A".into(), "1".into()), ("B".into(), "a b".into())];
    app.unenv = vec!["PATH".into()];
    app.env.push(("PATH".into(), "/usr/bin".into()));
    app.umask = Some(0o077);
    app.chdir = Some("/usr".into());
    app.no_new_privs = true;
    let mut vassal = Vassal::start(plan(app));
    assert_eq!(vassal.line(), "1 a b /usr/bin 0077 /usr");
    assert_eq!(vassal.line(), "NoNewPrivs:\t1");
}

#[test]
fn the_oom_score_is_restored() {
    let mut plan = plan(shell("cat /proc/self/oom_score_adj"));
    plan.limits.oom_score_adj = 321;
    let mut vassal = Vassal::start(plan);
    assert_eq!(vassal.line(), "321");
}

#[test]
fn a_wait_is_over_when_the_thing_is_there() {
    let dir = Dir::new("wait");
    let flag = dir.file("flag");
    let mut plan = plan(idle());
    plan.steps.push(Step::root(Phase::WaitFor, Act::WaitFor(Wait::File(flag.clone()))));
    let mut vassal = Vassal::start(plan);
    assert_eq!(vassal.hears(), Some(FromInit::Entered { step: 2 }));
    std::fs::write(&flag, "").unwrap();
    vassal.started();
}

#[test]
fn init_keeps_few_rights_and_its_children_get_them_back() {
    use liege_sys::caps::{DAC_READ_SEARCH, KILL, SETGID, SETUID, SYS_ADMIN, SYS_NICE, SYS_PTRACE, SYS_RESOURCE};
    let script = "trap 'grep CapEff /proc/self/status; exit' TERM; echo up; sleep infinity & wait";
    let mut vassal = Vassal::start(plan(shell(script)));
    vassal.started();
    assert_eq!(vassal.line(), "up");
    let of_init = format!("/proc/{}/status", vassal.child.pid);
    let all = caps("/proc/self/status", "CapBnd:");
    let few = (KILL | SETUID | SETGID | DAC_READ_SEARCH | SYS_NICE | SYS_RESOURCE) & all;
    assert_eq!(caps(&of_init, "CapEff:"), few);
    let parked = (SYS_ADMIN | SYS_PTRACE) & all;
    assert_eq!(caps(&of_init, "CapPrm:"), few | parked, "without effect before the end");
    assert_eq!(caps(&of_init, "CapBnd:"), all, "setuid programs live from it");
    vassal.tell(&ToInit::Stop);
    assert_eq!(vassal.line(), format!("CapEff:\t{all:016x}"));
}

#[test]
fn init_keeps_what_its_own_steps_need_again() {
    use liege_sys::caps::SYS_ADMIN;
    let mount = |target: &str| {
        let [fstype, source, data] = ["tmpfs", "none", "size=64k"].map(str::to_owned);
        Act::Mount(Mount { fstype, source, target: target.into(), flags: MountFlags(0), data })
    };
    let mut plan = plan(idle());
    plan.steps.push(Step::root(Phase::AsRoot, mount("/mnt")));
    let mut vassal = Vassal::start(plan);
    vassal.started();
    assert_ne!(caps(&format!("/proc/{}/status", vassal.child.pid), "CapEff:") & SYS_ADMIN, 0);
    vassal.reload(vec![Step::root(Phase::AsRoot, mount("/srv"))], shell("grep -c 'none /[ms]' /proc/mounts"));
    vassal.started();
    assert_eq!(vassal.line(), "2");
}

fn caps(status: &str, field: &str) -> u64 {
    let status = std::fs::read_to_string(status).unwrap();
    u64::from_str_radix(status.lines().find_map(|l| l.strip_prefix(field)).unwrap().trim(), 16).unwrap()
}
