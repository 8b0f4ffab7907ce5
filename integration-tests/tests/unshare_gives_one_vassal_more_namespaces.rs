//! `unshare` and `unshare2`: one vassal's own namespaces, after the `in-jail` hooks; `post-jail` hooks run inside, as in uWSGI.

use std::fs;

use liege_integration_tests::LONG;
use liege_integration_tests::apps::Reporter;
use liege_integration_tests::{story, wait_until};

#[test]
fn post_jail_hooks_run_inside_and_in_jail_hooks_before() {
    story(|host| {
        let (reporter, out) = (Reporter::new(host, "app"), host.open_dir("out"));
        let ours = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let emperor = host.emperor().start();
        let look = |phase: &str| {
            format!("hook-{phase} = exec:readlink /proc/self/ns/uts /proc/self/ns/net > {}/{phase}\n", out.display())
        };
        let lines = format!(
            "unshare = uts,net\n{}hook-post-jail = hostname:of-the-vassal\n{}{}",
            look("in-jail"),
            look("post-jail"),
            look("as-root")
        );
        emperor.write("v.ini", &reporter.vassal(&lines));
        assert_eq!(reporter.started(1)["hostname"], "of-the-vassal");
        assert_eq!(fs::read_to_string("/proc/sys/kernel/hostname").unwrap(), ours, "the host keeps its name");
        let seen = |phase: &str| fs::read_to_string(out.join(phase)).unwrap();
        let host_has: String = ["uts", "net"]
            .map(|kind| format!("{}\n", fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().display()))
            .concat();
        assert_eq!(seen("in-jail"), host_has, "not yet");
        assert_ne!(seen("post-jail"), host_has);
        assert_eq!(seen("as-root"), seen("post-jail"));

        let mark = emperor.mark();
        emperor.write("v.ini", &reporter.vassal(&lines.replace("unshare = uts,net", "unshare = uts")));
        emperor.wait_log_from(mark, &["a namespace changed at", "v.ini:3"]);
        let _report = reporter.started(2);
    });
}

#[test]
fn a_mount_made_after_it_stays_inside() {
    story(|host| {
        let (reporter, dir) = (Reporter::new(host, "app"), host.open_dir("mnt"));
        let emperor = host.emperor().namespaces(Some("pid")).start();
        emperor.write("v.ini", &reporter.vassal(&format!("unshare = fs\nhook-as-root = mount:tmpfs none {}\n", dir.display())));
        let _report = reporter.started(1);
        assert!(emperor.vassal("reports/app").mount(&dir).is_some(), "mounted in there");
        assert!(!host.mountinfo().contains(&dir.display().to_string()), "and not out here, where / is shared");
    });
}

#[test]
fn without_it_post_jail_hooks_do_not_run() {
    story(|host| {
        let (reporter, out) = (Reporter::new(host, "app"), host.open_dir("out"));
        let emperor = host.emperor().start();
        let hook = format!("hook-post-jail = exec:touch {}/post\n", out.display());
        emperor.write("v.ini", &reporter.vassal(&hook));
        let _report = reporter.started(1);
        assert!(!out.join("post").exists());
        emperor.write("v.ini", &reporter.vassal(&format!("{hook}jailed = true\n")));
        wait_until("the hook of a jailed one", LONG, || out.join("post").exists());
    });
}
