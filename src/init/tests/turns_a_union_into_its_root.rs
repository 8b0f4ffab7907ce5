//! The copy-on-write root: a real unionfs-fuse becomes `/`, the old root goes away, the app runs in it.
#![allow(missing_docs)]

mod world;

use std::{fs, path::Path, process::Command};

use liege_plan::{Act, Exit, Mount, MountFlags, Phase, Place, Step, Umount};
use liege_sys::{Errno, descendants, probe::probe};
use world::*;

const MS_BIND: u64 = 4096;

/// A root file system with a shell and what it is linked to, and nothing else.
fn rootfs(root: &Path) {
    for dir in ["bin", "proc", "dev", ".old_root"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    fs::copy("/bin/sh", root.join("bin/sh")).unwrap();
    let linked = Command::new("ldd").arg("/bin/sh").output().unwrap().stdout;
    for word in String::from_utf8(linked).unwrap().split_whitespace().filter(|word| word.starts_with('/')) {
        let to = root.join(&word[1..]);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(word, to).unwrap();
    }
}

fn mount(fstype: &str, source: &str, target: &str, flags: u64) -> Step {
    let [fstype, source, target] = [fstype, source, target].map(str::to_owned);
    let mount = Mount { fstype, source, target, flags: MountFlags(flags), data: String::new() };
    Step::root(Phase::AsRoot, Act::Mount(mount))
}

/// The steps of the tutorial's second vassal.
fn steps(ns: &str, ufs: &str) -> Vec<Step> {
    let umount = Umount { target: "/.old_root".into(), detach: true, force: false, recursive: true };
    let options = format!("cow,chroot={ns},default_permissions,allow_other");
    vec![
        Step::root(Phase::PreJail, Act::Chdir("/".into())),
        exec(&format!("unionfs-fuse -o{options} /base=RO:/cow/user=RW {ufs}")),
        Step::root(Phase::Jail, Act::MakePrivate),
        Step::root(Phase::Jail, Act::PivotRoot { new: ufs.into(), old: format!("{ufs}/.old_root") }),
        mount("proc", "none", "/proc", 0),
        mount("", "/.old_root/dev", "/dev", MS_BIND),
        Step::root(Phase::AsRoot, Act::Umount(umount)),
    ]
}

#[test]
fn what_the_app_writes_lands_in_the_cow_and_a_dead_union_is_seen() {
    let dir = Dir::new("cow");
    let (ns, ufs) = (dir.file("ns"), dir.file("ufs"));
    rootfs(&Path::new(&ns).join("base"));
    fs::create_dir_all(format!("{ns}/cow/user")).unwrap();
    fs::create_dir(&ufs).unwrap();
    let mut plan = plan(shell("echo mine > /written; echo $(echo /*); read x < /dev/zero"));
    plan.steps.extend(steps(&ns, &ufs));
    let mut vassal = Vassal::start(plan);
    vassal.started();
    assert!(vassal.line().starts_with("/bin /dev /lib"));
    assert_eq!(fs::read_to_string(format!("{ns}/cow/user/written")).unwrap(), "mine\n");
    assert!(!fs::exists(format!("{ns}/base/written")).unwrap());

    let pid = vassal.child.pid;
    let seen = probe(pid, "/").unwrap();
    assert!(seen.is_mountpoint && seen.fstype.starts_with("fuse"), "{seen:?}");
    let is_daemon = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap().starts_with("unionfs");
    let daemon = descendants::children_of(pid).into_iter().find(is_daemon).unwrap();
    descendants::kill(daemon, 9).unwrap();
    assert_eq!(vassal.orphan_died().1, Exit::Signal(9));
    assert_eq!(probe(pid, "/").unwrap_err().errno, Errno::ENOTCONN);
}

#[test]
fn a_new_root_that_is_no_mount_is_told_with_its_likely_cause() {
    let dir = Dir::new("no-mount");
    fs::create_dir(dir.file("old")).unwrap();
    let mut plan = plan(idle());
    let pivot = Act::PivotRoot { new: dir.file(""), old: dir.file("old") };
    plan.steps.extend([Step::root(Phase::Jail, Act::MakePrivate), Step::root(Phase::Jail, pivot)]);
    let mut vassal = Vassal::start(plan);
    let liege_plan::FromInit::Failed { at: Place::Step(3), errno, detail, .. } = vassal.failed() else { panic!() };
    assert_eq!((errno, detail.as_str()), (Errno::EBUSY as i32, "the new root must be a mount of its own"));
}
