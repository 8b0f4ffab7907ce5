//! Where a vassal gets another root, `uid`, `gid` and whom its hooks give files to are names of that root, read by liege's own
//! parser, and no name makes root.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use liege_integration_tests::apps::{self, Reporter};
use liege_integration_tests::tools::run_liege;
use liege_integration_tests::{Host, LONG, story, wait_for, wait_until};

/// The host's own root once more, with these accounts; and the lines that make it the vassal's.
fn root(host: &Host, passwd: &str, group: &str) -> String {
    let root = host.path("root");
    fs::create_dir_all(&root).unwrap();
    let file = |name: &str, text: &str| -> PathBuf {
        let path = host.path(name);
        fs::write(&path, text).unwrap();
        path
    };
    let (passwd, group, root) = (file("passwd", passwd), file("group", group), root.display());
    format!(
        "hook-pre-jail = mount:none / {root} bind,rec\nhook-pre-jail = mount:none {} {root}/etc/passwd bind\n\
         hook-pre-jail = mount:none {} {root}/etc/group bind\nchroot = {root}\n",
        passwd.display(),
        group.display()
    )
}

#[test]
fn a_name_has_the_number_and_the_groups_it_has_there() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let passwd = "root:x:0:0::/:/bin/sh\nshop:x:54321:54322::/:/bin/sh\n";
        let root = root(host, passwd, "shop:x:54322:\nweb:x:54323:other,shop\n");
        let hook = host.open_dir("out").join("hook");
        let emperor = host.emperor().start();
        let lines = format!("{root}uid = shop\ngid = shop\nexec-as-user = id -u > {}\n", hook.display());
        emperor.write("v.ini", &reporter.vassal(&lines));
        let status = &reporter.started(1)["status"];
        assert_eq!(status["Uid"], "54321\t54321\t54321\t54321");
        assert_eq!(status["Gid"], "54322\t54322\t54322\t54322");
        assert_eq!(status["Groups"], "54322 54323");
        assert_eq!(fs::read_to_string(&hook).unwrap(), "54321\n", "the hooks of the user are its too");
        let control = emperor.control.to_string_lossy();
        let enter = || run_liege(&["enter", "v.ini", "--control", &control, "--", "sh", "-c", "id -u; id -g; id -G"]);
        let is_known = |(status, said): (i32, String)| (status == 0).then_some(said);
        let visitor = wait_for("the app to be known", LONG, || is_known(enter()));
        assert_eq!(visitor, "54321\n54322\n54322 54323\n", "and so is a visitor");
    });
}

#[test]
fn a_hook_in_it_gives_a_file_to_whom_it_names() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let root = root(host, "shop:x:54321:54322::/:/bin/sh\n", "shop:x:54322:\nweb:x:54323:shop\n");
        let files = ["before", "as-root", "as-user", "number", "at-exit"].map(|name| host.path(name));
        files.iter().for_each(|file| fs::write(file, "").unwrap());
        let [before, as_root, as_user, number, exit] = files.each_ref().map(|file| file.display());
        let lines = format!(
            "{root}uid = shop\ngid = shop\nhook-pre-jail = chown:{before} {host_user} {host_user}\nhook-as-root = chown:{as_root} shop web\n\
             hook-as-root = chown:{as_user} shop shop\nhook-as-user = chown:{as_user} shop web\nhook-as-root = chown:{number} 7 web\n\
             hook-as-root = chown:{exit} shop shop\nhook-as-user-atexit = chown:{exit} shop web\n",
            host_user = apps::USER,
        );
        let emperor = host.emperor().start();
        emperor.write("v.ini", &reporter.vassal(&lines));
        let _started = reporter.started(1);
        let owner = |file: &PathBuf| fs::metadata(file).map(|meta| (meta.uid(), meta.gid())).unwrap();
        let (uid, gid) = apps::user();
        let expected = [(uid.as_raw(), gid.as_raw()), (54321, 54323), (54321, 54323), (7, 54323), (54321, 54322)];
        assert_eq!(files.each_ref().map(owner), expected);
        emperor.remove("v.ini");
        wait_until("the hook of the end", LONG, || owner(&files[4]) == (54321, 54323));
    });
}

#[test]
fn a_reload_keeps_who_it_is() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let root = root(host, "shop:x:54321:54322::/:/bin/sh\n", "shop:x:54322:\n");
        let emperor = host.emperor().start();
        let lines = format!("{root}uid = shop\ngid = shop\n");
        emperor.write("v.ini", &reporter.vassal(&lines));
        let _first = reporter.started(1);
        let init = emperor.vassal("reports/app").init;
        emperor.write("v.ini", &reporter.vassal(&format!("{lines}env = ROUND=two\n")));
        let again = reporter.started(2);
        assert_eq!(
            (&again["environment"]["ROUND"], &again["status"]["Uid"]),
            (&"two".into(), &"54321\t54321\t54321\t54321".into())
        );
        assert_eq!(emperor.vassal("reports/app").init, init, "replaced in place");
    });
}

#[test]
fn a_roots_passwd_cannot_make_root() {
    story(|host| {
        let emperor = host.emperor().start();
        let root = root(host, "shop:x:0:54322::/:/bin/sh\nboss:x:7:7::/:\n", "shop:x:54322:\nwheel:x:0:boss\n");
        for (name, lines, said) in [
            ("user.ini", "uid = shop\ngid = shop\n", "user shop has the number 0 in /etc/passwd"),
            ("group.ini", "uid = boss\ngid = wheel\n", "group wheel has the number 0 in /etc/group"),
            ("member.ini", "uid = boss\ngid = shop\n", "group wheel has the number 0"),
            ("nobody.ini", "uid = nobodyknows\ngid = shop\n", "there is no user \"nobodyknows\" in /etc/passwd of this root"),
            ("owner.ini", "hook-as-root = chown:/tmp shop shop\n", "user shop has the number 0 in /etc/passwd"),
            ("owners.ini", "hook-as-root = chown:/tmp boss wheel\n", "group wheel has the number 0 in /etc/group"),
        ] {
            let reporter = Reporter::new(host, name);
            let mark = emperor.mark();
            emperor.write(name, &reporter.vassal(&format!("{root}{lines}")));
            let line = emperor.wait_cause(mark, name, "hook_failed");
            assert!(line.contains(&format!("{name}:7")) && line.replace('\\', "").contains(said), "{line}");
            assert!(reporter.starts().is_empty(), "nothing ran");
            emperor.remove(name);
        }
    });
}

#[test]
fn a_real_uwsgi_drops_to_the_same_one() {
    story(|host| {
        // NSS would take the first line, and make it root.
        let passwd = "shop:x:+0:+0::/:/bin/sh\nshop:x:54321:54322::/:/bin/sh\n";
        let root = root(host, passwd, "shop:x:+0:\nshop:x:54322:\n");
        let socket = host.open_dir("out").join("socket");
        let emperor = host.emperor().start();
        emperor.write("v.ini", &format!("[uwsgi]\n{root}uid = shop\ngid = shop\nmaster = true\nsocket = {}\n", socket.display()));
        let vassal = emperor.vassal("emperor://v.ini");
        wait_until("uwsgi to drop", LONG, || {
            vassal.processes().iter().filter(|process| process.name.starts_with("uwsgi")).any(|uwsgi| uwsgi.uid() == Some(54321))
        });
    });
}

/// The line means root: the root's files are not asked who that is.
#[test]
fn root_is_root_in_every_root() {
    story(|host| {
        let root = root(host, "shop:x:0:0::/:/bin/sh\nroot:x:7:7::/:/bin/sh\n", "root:x:7:\nwheel:x:0:root\n");
        let file = host.path("file");
        fs::write(&file, "").unwrap();
        std::os::unix::fs::chown(&file, Some(1), Some(1)).unwrap();
        let reporter = Reporter::new(host, "app");
        let emperor = host.emperor().start();
        let lines = format!("{root}uid = root\ngid = root\nhook-as-root = chown:{} root root\n", file.display());
        emperor.write("v.ini", &reporter.vassal(&lines));
        let status = &reporter.started(1)["status"];
        assert_eq!((&status["Uid"], &status["Gid"]), (&"0\t0\t0\t0".into(), &"0\t0\t0\t0".into()));
        let owner = fs::metadata(&file).unwrap();
        assert_eq!((owner.uid(), owner.gid()), (0, 0));
    });
}
