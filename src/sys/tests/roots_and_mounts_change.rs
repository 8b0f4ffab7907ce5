//! Recursive unmounts and the change of the root, in a jail of their own.
#![allow(missing_docs)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use liege_sys::{
    Errno,
    mount::{self, Propagation},
    mountinfo,
};
use nix::sched::{CloneFlags, unshare};

/// Runs in a thread with a mount namespace of its own, which ends with the thread.
fn in_a_jail(name: &str, work: impl FnOnce(&Path) + Send) {
    let dir = std::env::temp_dir().join(format!("liege-sys-{}-{name}", std::process::id()));
    fs::create_dir(&dir).unwrap();
    let result = std::thread::scope(|s| {
        s.spawn(|| {
            unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS).unwrap();
            mount::propagate(Propagation::Private).unwrap();
            work(&dir);
        })
        .join()
    });
    fs::remove_dir_all(&dir).unwrap();
    result.unwrap();
}

fn tmpfs(path: &Path) -> String {
    fs::create_dir_all(path).unwrap();
    let path = path.to_str().unwrap().to_owned();
    mount::mount("tmpfs", "none", &path, 0, "size=64k").unwrap();
    path
}

/// The mount points below this directory, as this thread sees them.
fn below(dir: &Path) -> Vec<PathBuf> {
    mountinfo::own().unwrap().into_iter().map(|m| PathBuf::from(m.mount_point)).filter(|p| p.starts_with(dir)).collect()
}

#[test]
fn everything_below_goes_deepest_first_whatever_it_is_called() {
    in_a_jail("recursive", |dir| {
        let top = tmpfs(&dir.join("top"));
        tmpfs(&dir.join("top/a b"));
        tmpfs(&dir.join("top/a b/new\nline"));
        tmpfs(&dir.join("top/back\\040slash"));
        tmpfs(&dir.join("top/a b")); // upon the other one, which it hides with what is in it
        let beside = tmpfs(&dir.join("top-not"));
        assert_eq!(below(dir).len(), 6);
        mount::umount_below(&top, false, false).unwrap();
        assert_eq!(below(dir), [PathBuf::from(&beside)]);
        assert_eq!(mount::umount_below(&top, false, false), Err(Errno::EINVAL));
        assert_eq!(mount::umount_below(&top, true, false), Err(Errno::EINVAL));
        mount::umount(&beside, false, false).unwrap();
    });
}

#[test]
fn mounts_below_a_plain_directory_go_too() {
    in_a_jail("plain", |dir| {
        tmpfs(&dir.join("plain/one"));
        tmpfs(&dir.join("plain/two"));
        tmpfs(&dir.join("plain/two")); // detaching it once would uncover another
        mount::umount_below(dir.join("plain").to_str().unwrap(), true, false).unwrap();
        assert!(below(dir).is_empty());
    });
}

#[test]
fn a_busy_mount_stays_unless_it_is_detached() {
    in_a_jail("busy", |dir| {
        let top = tmpfs(&dir.join("top"));
        let held = fs::File::create(dir.join("top/file")).unwrap();
        assert_eq!(mount::umount_below(&top, false, false), Err(Errno::EBUSY));
        mount::umount_below(&top, true, false).unwrap();
        drop(held);
    });
}

/// The options of the mount at this path, as this thread sees it.
fn options(path: &str) -> String {
    mountinfo::own().unwrap().into_iter().rfind(|m| m.mount_point == path).unwrap().options
}

#[test]
fn attributes_come_beside_those_that_are_there() {
    in_a_jail("attributes", |dir| {
        let (nosuid, bind, rec) = (2, 1 << 12, 1 << 14);
        let from = dir.join("from");
        fs::create_dir(&from).unwrap();
        mount::mount("tmpfs", "none", from.to_str().unwrap(), nosuid, "size=64k").unwrap();
        tmpfs(&from.join("below"));
        let to = dir.join("to").to_str().unwrap().to_owned();
        fs::create_dir(&to).unwrap();
        mount::mount("", from.to_str().unwrap(), &to, bind | rec, "").unwrap();

        mount::set_attributes(&to, 1 | 1 << 10, false).unwrap();
        assert_eq!(options(&to), "ro,nosuid,noatime");
        assert_eq!(options(&format!("{to}/below")), "rw,relatime");
        mount::set_attributes(&to, 1 << 3 | 1 << 21, true).unwrap();
        assert_eq!(options(&to), "ro,nosuid,noexec,relatime");
        assert_eq!(options(&format!("{to}/below")), "rw,noexec,relatime");
        assert_eq!(options(from.to_str().unwrap()), "rw,nosuid,relatime", "what was bound stays as it was");
        mount::umount_below(&to, false, false).unwrap();
        mount::umount_below(from.to_str().unwrap(), false, false).unwrap();
        assert_eq!(mount::set_attributes(&to, 1, false), Err(Errno::EINVAL));
    });
}

#[test]
fn many_mounts_with_long_lines_go_quickly() {
    in_a_jail("many", |dir| {
        let top = tmpfs(&dir.join("top"));
        // A line longer than any buffer one would think of.
        let deep = (0..15).fold(top.clone(), |path, _| format!("{path}/{}", "d".repeat(250)));
        assert!(deep.len() > 3_500 && deep.len() < 4_090);
        fs::create_dir_all(&deep).unwrap();
        for n in 0..1_000 {
            let at = format!("{top}/{n}");
            fs::create_dir(&at).unwrap();
            mount::mount("", &top, &at, 1 << 12, "").unwrap();
        }
        mount::mount("tmpfs", "none", &deep, 0, "size=64k").unwrap();
        assert_eq!(below(dir).len(), 1_002);
        let start = std::time::Instant::now();
        mount::umount_below(&top, false, false).unwrap();
        assert!(below(dir).is_empty());
        assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
    });
}

#[test]
fn the_root_is_changed_and_the_old_one_can_go() {
    in_a_jail("pivot", |dir| {
        let new = tmpfs(&dir.join("new"));
        fs::create_dir(dir.join("new/.old_root")).unwrap();
        fs::write(dir.join("new/mark"), "").unwrap();
        // Seen from outside, as uWSGI's pivot_root takes it.
        mount::pivot_root(&new, &format!("{new}/.old_root")).unwrap();
        assert!(fs::exists("/mark").unwrap() && fs::exists("/.old_root/etc").unwrap());
        assert_eq!(std::env::current_dir().unwrap(), Path::new("/"));
        mount::umount("/.old_root", true, false).unwrap();
        assert!(!fs::exists("/.old_root/etc").unwrap());
    });
}

#[test]
fn a_new_root_that_is_no_mount_is_refused() {
    in_a_jail("pivot-plain", |dir| {
        let new = dir.join("new");
        fs::create_dir_all(new.join("old")).unwrap();
        let new = new.to_str().unwrap();
        assert_eq!(mount::pivot_root(new, &format!("{new}/old")), Err(Errno::EBUSY));
    });
}

#[test]
fn a_place_for_the_old_root_outside_the_new_one_is_refused_though_its_name_exists_inside() {
    in_a_jail("pivot-outside", |dir| {
        let new = tmpfs(&dir.join("new"));
        for inside in ["etc", "-old"] {
            fs::create_dir(dir.join("new").join(inside)).unwrap();
        }
        for old in ["/etc", &format!("{new}-old")] {
            assert_eq!(mount::pivot_root(&new, old), Err(Errno::EINVAL), "{old}");
        }
        assert!(!fs::exists("/-old").unwrap(), "the root is what it was");
        mount::pivot_root(&format!("{new}/"), "etc").unwrap();
        assert!(fs::exists("/-old").unwrap() && fs::exists("/etc/etc").unwrap());
    });
}
