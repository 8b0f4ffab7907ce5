//! `cgroup` and `cgroup-opt`: a vassal is born in its control groups, of version 2 and of version 1, and they go when it goes.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::cgroups::hierarchy;
use liege_integration_tests::{LONG, SHORT, bar, procs, story, wait_until};
use nix::sys::signal::Signal;

/// A group of this story alone. Version 2 is one tree for the whole machine, so other stories see it; theirs it is not.
fn own_name(more: &str) -> String {
    format!("story-{}{more}", std::process::id())
}

/// A group that was there before the daemon, and that goes with its story.
struct Old(PathBuf);

impl Old {
    fn new(path: PathBuf) -> Self {
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Old {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0); // the assertion that it is there came before
    }
}

/// The groups of all processes of a vassal, one line per hierarchy each.
fn groups_of(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default()
}

#[test]
fn of_version_2_it_is_born_there_hooks_and_all() {
    story(|host| {
        let tree = hierarchy(&host.path("two"), "cgroup2", None);
        let group = tree.join(own_name(""));
        let (reporter, hook) = (Reporter::new(host, "app"), host.open_dir("out").join("hook"));
        let emperor = host.emperor().start();
        let lines = format!(
            "cgroup = {}\ncgroup-opt = cgroup.max.depth=3\nhook-asap = exec:cat /proc/self/cgroup > {}\n",
            group.display(),
            hook.display()
        );
        emperor.write("v.ini", &reporter.vassal(&lines));
        let _report = reporter.started(1);
        let name = group.file_name().unwrap().to_string_lossy().into_owned();
        assert!(fs::read_to_string(&hook).unwrap().contains(&format!("0::/{name}")), "the first hook is inside");
        let vassal = emperor.vassal("reports/app");
        for process in vassal.processes() {
            assert!(groups_of(process.pid).contains(&format!("0::/{name}")), "{process:?}");
        }
        assert_eq!(fs::read_to_string(group.join("cgroup.max.depth")).unwrap(), "3\n");

        // A change of a group is a change of the jail, and the log names its line.
        let mark = emperor.mark();
        emperor.write("v.ini", &reporter.vassal(&lines.replace("depth=3", "depth=4")));
        emperor.wait_log_from(mark, &["a cgroup changed at", "v.ini:4"]);
        let _report = reporter.started(2);
        assert_eq!(fs::read_to_string(group.join("cgroup.max.depth")).unwrap(), "4\n");

        emperor.remove("v.ini");
        wait_until("the group to go with the vassal", LONG, || !group.exists());
        emperor.put_to_rest();
        nix::mount::umount(&tree).unwrap();
    });
}

#[test]
fn with_a_cgroup_namespace_its_groups_are_the_roots_it_sees() {
    story(|host| {
        let name = format!("name=liege-{}", std::process::id());
        let one = hierarchy(&host.path("one"), "cgroup", Some(&format!("none,{name}")));
        let two = hierarchy(&host.path("two"), "cgroup2", None);
        let (reporter, hook) = (Reporter::new(host, "app"), host.open_dir("out").join("hook"));
        let emperor = host.emperor().namespaces(Some("fs,pid,cgroup")).start();
        let groups = [&one, &two].map(|tree| format!("cgroup = {}\n", tree.join(own_name("")).display())).concat();
        emperor
            .write("v.ini", &reporter.vassal(&format!("{groups}hook-asap = exec:cat /proc/self/cgroup > {}\n", hook.display())));
        let _report = reporter.started(1);
        let seen = fs::read_to_string(&hook).unwrap();
        let root = |of: &str| seen.lines().any(|line| line.ends_with(&format!(":{of}:/")));
        assert!(root("") && root(&name), "{seen}");
        emperor.remove("v.ini");
        emperor.put_to_rest();
        nix::mount::umount(&one).unwrap();
        nix::mount::umount(&two).unwrap();
    });
}

#[test]
fn of_version_1_it_joins_before_its_first_step() {
    story(|host| {
        // A hierarchy without a controller: those belong to the machine, and only one hierarchy at a time may have one.
        let name = format!("name=liege-{}", std::process::id());
        let tree = hierarchy(&host.path("one"), "cgroup", Some(&format!("none,{name}")));
        let group = tree.join(own_name(""));
        let (reporter, hook) = (Reporter::new(host, "app"), host.open_dir("out").join("hook"));
        let emperor = host.emperor().start();
        let lines = format!(
            "cgroup = {}\ncgroup-opt = notify_on_release=1\nhook-asap = exec:cat /proc/self/cgroup > {}\n",
            group.display(),
            hook.display()
        );
        emperor.write("v.ini", &reporter.vassal(&lines));
        let _report = reporter.started(1);
        let place = format!(":{name}:/{}", group.file_name().unwrap().to_string_lossy());
        assert!(fs::read_to_string(&hook).unwrap().contains(&place), "the first hook is inside");
        assert_eq!(fs::read_to_string(group.join("notify_on_release")).unwrap(), "1\n");
        emperor.remove("v.ini");
        wait_until("the group to go with the vassal", LONG, || !group.exists());
        emperor.put_to_rest();
        nix::mount::umount(&tree).unwrap();
    });
}

#[test]
fn a_group_that_was_there_stays_and_two_vassals_may_share_one() {
    story(|host| {
        let tree = hierarchy(&host.path("two"), "cgroup2", None);
        let (old, shared) = (tree.join(own_name("-old")), tree.join(own_name("")));
        let old = Old::new(old);
        let (one, two) = (Reporter::new(host, "one"), Reporter::new(host, "two"));
        let emperor = host.emperor().start();
        let lines = format!("cgroup = {}\n", shared.display());
        emperor.write("one.ini", &one.vassal(&lines));
        let _report = one.started(1);
        emperor.write("two.ini", &two.vassal(&lines));
        let _report = two.started(1);
        let first = emperor.vassal("reports/one");
        let processes = first.processes();
        emperor.remove("one.ini");
        wait_until("the first to go", LONG, || first.is_gone(&processes));
        assert!(shared.exists(), "the second lives in it");
        emperor.write("one.ini", &one.vassal(&format!("cgroup = {}\n", old.0.display())));
        let _report = one.started(2);
        emperor.remove("one.ini");
        emperor.remove("two.ini");
        wait_until("the shared one to go with the last", LONG, || !shared.exists());
        emperor.put_to_rest();
        assert!(old.0.exists(), "somebody else's");
        drop(old);
        nix::mount::umount(&tree).unwrap();
    });
}

/// Without a pid namespace, a bomb that starts more whenever one is killed ends with the vassal, at once, by the group's own kill.
#[test]
fn a_fork_bomb_ends_with_its_group() {
    story(|host| {
        let tree = hierarchy(&host.path("two"), "cgroup2", None);
        let group = tree.join(own_name(""));
        let full = host.open_dir("out").join("full");
        let emperor = host.emperor().namespaces(Some("fs")).start();
        // The number of its user's processes is the machine's; nobody else is this user.
        let text = format!(
            "[vassal]\ncommand = {} {}\nuid = 31999\ngid = 31999\nlimit-nproc = 600\nstop-timeout = 1\ncgroup = {}\n",
            host.helper("forkbomb").display(),
            full.display(),
            group.display()
        );
        emperor.write("v.ini", &text);
        wait_until("room for no more", LONG, || full.exists());
        let mark = emperor.mark();
        let start = Instant::now();
        emperor.vassals()[0].init.kill(Signal::SIGKILL);
        emperor.wait_cause(mark, "v.ini", "init_killed");
        println!("a fork bomb without a pid namespace: gone {:.0?} after its init", start.elapsed());
        assert!(start.elapsed() < bar(SHORT), "it had to end by itself");
        emperor.remove("v.ini");
        emperor.wait_log_from(mark, &["v.ini: gone"]);
        assert!(!group.exists());
        assert!(procs::all().iter().all(|process| process.name != "forkbomb" || process.state == 'Z'));
        emperor.put_to_rest();
        nix::mount::umount(&tree).unwrap();
    });
}

/// kill -9 of the daemon: its vassals end, their groups stay behind, and the next daemon knows them again.
#[test]
fn a_group_left_behind_by_a_killed_daemon_is_taken_over() {
    story(|host| {
        let name = format!("name=liege-{}", std::process::id());
        let one = hierarchy(&host.path("one"), "cgroup", Some(&format!("none,{name}")));
        let two = hierarchy(&host.path("two"), "cgroup2", None);
        let groups = [one.join(own_name("")), two.join(own_name(""))];
        let lines: String = groups.iter().map(|group| format!("cgroup = {}\n", group.display())).collect();
        let reporter = Reporter::new(host, "app");
        let emperor = host.emperor().start();
        emperor.write("v.ini", &reporter.vassal(&lines));
        let _report = reporter.started(1);
        emperor.signal(Signal::SIGKILL);
        emperor.wait_exit(SHORT);
        assert!(groups.iter().all(|group| group.exists()), "nobody was there to take them away");

        let emperor = host.emperor().start_unheard();
        let _report = reporter.started(2);
        emperor.remove("v.ini");
        wait_until("the groups to go with the vassal", LONG, || groups.iter().all(|group| !group.exists()));
        emperor.put_to_rest();
        nix::mount::umount(&one).unwrap();
        nix::mount::umount(&two).unwrap();
    });
}

#[test]
fn a_group_that_cannot_be_had_is_named() {
    story(|host| {
        let tree = hierarchy(&host.path("two"), "cgroup2", None);
        let group = tree.join(own_name(""));
        let plain = host.path("plain");
        let emperor = host.emperor().start();
        for (name, lines, said) in [
            ("parent.ini", format!("cgroup = {}/not/there\n", tree.display()), "its parent is missing: ENOENT"),
            ("plain.ini", format!("cgroup = {}\n", plain.display()), "no cgroup file system is mounted there"),
            ("option.ini", format!("cgroup = {}\ncgroup-opt = nosuch.max=1M\n", group.display()), "is the controller nosuch"),
            (
                "value.ini",
                format!("cgroup = {}\ncgroup-opt = cgroup.max.depth=x\n", group.display()),
                "write x to cgroup.max.depth",
            ),
        ] {
            let (reporter, mark) = (Reporter::new(host, name), emperor.mark());
            emperor.write(name, &reporter.vassal(&lines));
            let line = emperor.wait_cause(mark, name, "spawn_failed");
            let at = format!("{name}:{}", 2 + lines.lines().count());
            assert!(line.contains(said) && line.contains(&at), "{at}: {line}");
            emperor.remove(name);
            // The second try, which comes at once, may be under way.
            wait_until("nothing to be left", LONG, || !group.exists() && !plain.exists());
            assert!(reporter.starts().is_empty());
        }
        emperor.put_to_rest();
        nix::mount::umount(&tree).unwrap();
    });
}
