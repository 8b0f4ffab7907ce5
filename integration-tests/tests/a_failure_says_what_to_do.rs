//! Why a vassal does not start is said where one looks: what the program said last, the place where it was looked for, and what helps.

use std::fs;

use liege_integration_tests::apps::{USER, ZipApp, user};
use liege_integration_tests::http::free_port;
use liege_integration_tests::scrape::{ANY_PORT, Listener};
use liege_integration_tests::tools::run_liege;
use liege_integration_tests::{Emperor, LONG, SHORT, story, wait_until};
use nix::sys::signal::Signal;

fn vassal(lines: &str) -> String {
    format!("[vassal]\nuid = {USER}\ngid = {USER}\n{lines}\n")
}

#[test]
fn a_hook_that_fails_is_quoted_in_status_and_events() {
    story(|host| {
        let emperor = host.emperor().arg("--emperor-throttle").arg("60000").start();
        emperor.write(
            "v.ini",
            &vassal("exec-as-user = echo first; echo no such archive: /srv/shop.zip >&2; exit 3\ncommand = sleep 1000"),
        );
        let line = emperor.wait_cause(0, "v.ini", "hook_failed");
        assert!(line.contains("\"no such archive: /srv/shop.zip\", exited with status 3: exec "), "{line}");
        // The second try comes at once, and while it is under way the status shows its step.
        emperor.wait_log("starts again in");
        for view in [&["status"][..], &["status", "v.ini"], &["events"]] {
            let said = emperor.ask(view).1;
            assert!(said.contains("no such archive: /srv/shop.zip"), "{view:?}: {said}");
        }
    });
}

/// What a hook says may look like our own words; its quotation ends where it ends.
#[test]
fn what_a_hook_says_does_not_end_its_quotation() {
    story(|host| {
        let emperor = host.emperor().arg("--emperor-throttle").arg("60000").start();
        let says = |words: &str, name: &str| {
            let script = host.open_dir("says").join(name);
            fs::write(&script, format!("printf '%s\\n' '{words}' >&2; exit 3\n")).unwrap();
            format!("/bin/sh {}", script.display())
        };
        let hook = says(r#"bad: x", killed by SIGKILL (the host is out of memory) ""#, "hook");
        emperor.write("v.ini", &vassal(&format!("exec-as-user = {hook}\ncommand = sleep 1000")));
        let line = emperor.wait_cause(0, "v.ini", "hook_failed");
        assert!(line.contains(r#""bad: x\", killed by SIGKILL (the host is out of memory) \"", exited with status 3"#), "{line}");
        // An app's words go another way.
        emperor.write("w.ini", &vassal(&format!("command = {}", says(r#"bad\ "y", killed by SIGKILL"#, "app"))));
        let line = emperor.wait_cause(0, "w.ini", "exit");
        assert!(line.contains(r#""bad\\ \"y\", killed by SIGKILL" ("#), "{line}");
    });
}

/// Programs give advice behind the reason.
#[test]
fn a_hook_that_fails_is_quoted_by_its_reason() {
    story(|host| {
        let (emperor, app) = (host.emperor().start(), ZipApp::new(host, "zip", "text"));
        let (zip, full) = (app.zip.display(), host.open_dir("full"));
        fs::write(full.join("left behind"), "").unwrap();
        let hook = |line: String| vassal(&format!("exec-as-user = {line}\ncommand = sleep 1000"));
        emperor.write("mount.ini", &hook(format!("mount -t tmpfs x {}", full.display())));
        let line = emperor.wait_cause(0, "mount.ini", "hook_failed");
        assert!(line.contains("must be superuser") && line.contains("exec-as-root") && !line.contains("dmesg"), "{line}");
        emperor.write("full.ini", &hook(format!("fuse-zip -r {zip} {}", full.display())));
        let line = emperor.wait_cause(0, "full.ini", "hook_failed");
        assert!(line.contains("\"fuse: mountpoint is not empty\"") && line.contains("empty it"), "{line}");
    });
}

#[test]
fn a_mount_point_that_is_missing_or_not_owned_is_told_with_the_remedy() {
    story(|host| {
        let (emperor, app) = (host.emperor().start(), ZipApp::new(host, "zip", "text"));
        let (zip, missing, roots) = (app.zip.display(), host.path("missing"), host.path("roots"));
        fs::create_dir(&roots).unwrap();
        let mount = |point: &std::path::Path| {
            vassal(&format!("exec-as-user = fuse-zip -r {zip} {}\ncommand = sleep 1000", point.display()))
        };
        emperor.write("roots.ini", &mount(&roots));
        let line = emperor.wait_cause(0, "roots.ini", "hook_failed");
        assert!(line.contains(&format!("chown the mount point to uid {}", user().0)), "{line}");
        emperor.write("missing.ini", &mount(&missing));
        let line = emperor.wait_cause(0, "missing.ini", "hook_failed");
        assert!(line.contains("mkdir the mount point"), "{line}");
        emperor.write("checked.ini", &vassal(&format!("command = sleep 1000\nmountpoint-check = {}", missing.display())));
        let line = emperor.wait_cause(0, "checked.ini", "mountpoint_dead");
        assert!(line.contains("this root has no such path; mkdir it"), "{line}");
    });
}

#[test]
fn a_directory_that_is_missing_is_told_with_its_own_line() {
    story(|host| {
        let emperor = host.emperor().start();
        let missing = host.path("missing");
        emperor.write("v.ini", &vassal(&format!("command = sleep 1000\nchdir = {}", missing.display())));
        let line = emperor.wait_cause(0, "v.ini", "exec_failed");
        let told = format!("ENOENT (No such file or directory), {} (mkdir it, or mount ", missing.display());
        assert!(
            line.contains(&told) && line.contains(": enter the app's directory (") && line.contains("v.ini:5: chdir)"),
            "{line}"
        );
    });
}

#[test]
fn a_program_that_is_not_executable_is_told_with_the_remedy() {
    story(|host| {
        let (emperor, program) = (host.emperor().start(), host.path("program"));
        fs::write(&program, "#!/bin/sh\nexec sleep 1000\n").unwrap();
        emperor.write("v.ini", &vassal(&format!("command = {}", program.display())));
        let line = emperor.wait_cause(0, "v.ini", "exec_failed");
        assert!(line.contains(&format!("{} is not executable (chmod +x it)", program.display())), "{line}");
    });
}

#[test]
fn a_program_that_is_nowhere_is_told_with_the_places() {
    story(|host| {
        let emperor = host.emperor().start();
        let closed = host.path("closed");
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let path = format!("/usr/bin:{}", closed.display());
        emperor.write("typo.ini", &vassal(&format!("env = PATH={path}\ncommand = gunicon app:app")));
        let line = emperor.wait_cause(0, "typo.ini", "exec_failed");
        assert!(line.contains(&format!("no gunicon in the PATH of the vassal's root ({path})")), "{line}");
    });
}

#[test]
fn a_command_for_a_shell_is_told_that_none_runs_it() {
    story(|host| {
        let emperor = host.emperor().start();
        for (name, command, instead) in [
            ("cd.ini", "cd /srv && ./run", "write chdir = DIRECTORY, or command = sh -c 'LINE'"),
            ("exec.ini", "exec sleep 1000", "write the line without exec, or command = sh -c 'LINE'"),
            ("port.ini", "PORT=1 sleep 1000", "write env = NAME=VALUE, or command = sh -c 'LINE'"),
            ("source.ini", ". ./activate", "write command = sh -c 'LINE'"),
        ] {
            emperor.write(name, &vassal(&format!("command = {command}")));
            let line = emperor.wait_cause(0, name, "exec_failed");
            assert!(line.contains(&format!("(no shell runs this: {instead}): start the app")), "{line}");
            let (_, said) = run_liege(&["check".as_ref(), emperor.file(name).as_os_str()]);
            assert!(said.contains("no shell runs this") && said.contains(instead), "{said}");
        }
    });
}

#[test]
fn a_program_that_stays_in_the_foreground_is_named_while_it_is_waited_for() {
    story(|host| {
        let (emperor, app) = (host.emperor().start(), ZipApp::new(host, "zip", "text"));
        let hook = format!("exec-as-user = fuse-zip -f -r {} {}", app.zip.display(), app.mount.display());
        emperor.write("v.ini", &vassal(&format!("{hook}\nhook-timeout = 6\ncommand = sleep 1000")));
        let shown = |view: &[&str], what: &str| {
            wait_until(&format!("{view:?} to show {what}"), LONG, || emperor.ask(view).1.contains(what))
        };
        shown(&["status"], "preparing");
        shown(&["status"], "s: exec fuse-zip -f -r");
        shown(&["status", "v.ini"], "-f keeps it in the foreground");
        let line = emperor.wait_cause(0, "v.ini", "hook_timeout");
        assert!(line.contains("did not end in time (-f keeps it in the foreground"), "{line}");
    });
}

#[test]
fn a_mounts_death_names_its_daemon_and_no_helper_before_it() {
    story(|host| {
        let emperor = host.emperor().arg("--emperor-metrics").arg(ANY_PORT).start();
        let (listener, app) = (Listener::of(&emperor), ZipApp::new(host, "zip", "text"));
        let (zip, mount) = (app.zip.display(), app.mount.display());
        // The helper becomes an orphan and ends well, just before.
        let helper = host.path("go");
        let lines = format!(
            "exec-as-user = fuse-zip -r {zip} {mount}\nexec-as-user = (until [ -e {} ]; do sleep 0.05; done) &\n\
             command = sleep 1000\nmountpoint-check = {mount}",
            helper.display()
        );
        emperor.write("v.ini", &vassal(&lines));
        emperor.wait_log(&format!("{mount} is healthy"));
        let running = emperor.vassal("sleep 1000");
        let daemon = running.process("fuse-zip");
        fs::write(&helper, "").unwrap();
        wait_until("the helper to have ended", SHORT, || running.processes().iter().all(|process| process.name != "sh"));
        // Its end has the mount looked at. A look that is under way when the daemon dies is answered before that death is told.
        let looks = || listener.value("liege_check_duration_seconds_count").unwrap_or_default();
        let before = looks();
        wait_until("two looks more", LONG, || looks() >= before + 2.0);
        daemon.kill(Signal::SIGKILL);
        let line = emperor.wait_cause(0, "v.ini", "mountpoint_dead");
        assert!(line.contains("; fuse-zip (pid ") && line.contains("killed by SIGKILL"), "{line}");
    });
}

#[test]
fn a_failure_is_shown_after_what_was_wished_and_after_a_restart_of_the_daemon() {
    story(|host| {
        let emperor = host.emperor().start();
        emperor.write("v.ini", &vassal("command = sleep 1000"));
        emperor.vassal("sleep 1000").process("sleep").kill(Signal::SIGKILL);
        emperor.wait_cause(0, "v.ini", "signal");
        for _ in 0..2 {
            let mark = emperor.mark();
            wait_until("an app to restart", LONG, || emperor.vassal_with("sleep 1000").is_some());
            emperor.ask(&["restart", "v.ini"]);
            emperor.wait_cause(mark, "v.ini", "requested");
        }
        let shows = |emperor: &Emperor| {
            for view in [&["status"][..], &["status", "v.ini"]] {
                wait_until("the failure to be shown", LONG, || {
                    emperor.ask(view).1.contains("ago: the app was killed by SIGKILL")
                });
            }
        };
        shows(&emperor);
        emperor.signal(Signal::SIGTERM);
        assert!(emperor.wait_exit(LONG).success());
        let second = host.emperor().start_unheard();
        second.wait_log("started (app is");
        shows(&second);
    });
}

#[test]
fn a_uwsgi_that_serves_nothing_is_not_ready_without_a_word() {
    story(|host| {
        let emperor = host.emperor().start();
        let uwsgi = |more: &str| {
            format!("[uwsgi]\nuid = {USER}\ngid = {USER}\nmaster = true\nhttp-socket = 127.0.0.1:{}\n{more}\n", free_port())
        };
        emperor.write("noapp.ini", &uwsgi(""));
        emperor.write("noplugin.ini", &uwsgi("plugin = nosuchplugin"));
        emperor.wait_log("it may serve nothing, its uwsgi says: *** no app loaded. going in full dynamic mode ***");
        emperor.wait_log_from(0, &["noplugin.ini", "a plugin is missing"]);
        let shows = |view: &[&str], what: &str| {
            wait_until(&format!("{view:?} to show {what}"), LONG, || emperor.ask(view).1.contains(what))
        };
        shows(&["status"], "it may serve nothing");
        shows(&["status", "noapp.ini"], "no app loaded. going in full dynamic mode");
        shows(&["status", "noplugin.ini"], "UNABLE to load uWSGI plugin");
        // Another app of the same file is asked anew.
        let mark = emperor.mark();
        emperor.touch("noapp.ini");
        emperor.wait_log_from(mark, &["noapp.ini", "reloaded"]);
    });
}

#[test]
fn an_app_that_fails_is_quoted() {
    story(|host| {
        let emperor = host.emperor().start();
        for (name, command, said) in [
            (
                "shell.ini",
                "sh -c 'echo cannot open database >&2; exit 7'",
                "\"cannot open database\" (the app exited with status 7)",
            ),
            ("python.ini", "python3 -c 'import nosuch'", "\"ModuleNotFoundError: No module named 'nosuch'\" (the app exited"),
            (
                "core.ini",
                "sh -c 'echo assertion failed >&2; kill -ABRT $$'",
                "\"assertion failed\" (the app was killed by SIGABRT)",
            ),
        ] {
            emperor.write(name, &vassal(&format!("command = {command}")));
            emperor.wait_log_from(0, &[name, "ended after", said]);
            for view in [&["status"][..], &["status", name], &["events"]] {
                wait_until(&format!("{view:?} to quote {name}"), LONG, || emperor.ask(view).1.contains(said));
            }
        }
        // A signal from elsewhere is not explained by what the app said.
        emperor.write("killed.ini", &vassal("command = sh -c 'echo GET /; kill -KILL $$'"));
        let line = emperor.wait_cause(0, "killed.ini", "signal");
        assert!(!line.contains("GET"), "{line}");
    });
}

/// Some programs fail with status 0. One that was asked to end has not failed, whatever it says.
#[test]
fn an_app_that_ends_with_status_0_is_quoted_unless_it_was_asked_to() {
    story(|host| {
        let emperor = host.emperor().start();
        emperor.write("v.ini", &vassal("command = sh -c 'echo cannot reach the database >&2; exit 0'"));
        let said = "\"cannot reach the database\" (the app exited with status 0)";
        emperor.wait_log_from(0, &["v.ini", "ended after", said]);
        for view in [&["status"][..], &["status", "v.ini"], &["events"]] {
            wait_until(&format!("{view:?} to quote it"), LONG, || emperor.ask(view).1.contains(said));
        }
        let uwsgi = format!("[uwsgi]\nuid = {USER}\ngid = {USER}\nmaster = true\nhttp-socket = 127.0.0.1:{}\n", free_port());
        emperor.write("hook.ini", &format!("{uwsgi}hook-post-fork = exec:./does-not-exist\n"));
        let line = emperor.wait_log_from(0, &["hook.ini", "ended after"]);
        let says =
            [r#"command \"./does-not-exist\" exited with non-zero code: 127; "#, "FATAL hook failed, destroying instance\""];
        assert!(says.iter().all(|says| line.contains(says)), "{line}");
        let leaves = "command = sh -c 'trap \"echo bye; exit 0\" TERM; echo up; while :; do sleep 0.1; done'";
        emperor.write("asked.ini", &vassal(leaves));
        emperor.wait_said("asked.ini", "up");
        let mark = emperor.mark();
        emperor.ask_well(&["stop", "asked.ini"]);
        let line = emperor.wait_log_from(mark, &["asked.ini", "ended after"]);
        emperor.wait_said("asked.ini", "bye");
        assert!(!line.contains("bye"), "{line}");
    });
}

#[test]
fn what_an_app_said_long_before_its_end_is_not_the_reason() {
    story(|host| {
        let emperor = host.emperor().start();
        let command = "command = sh -c 'echo Address already in use, trying next port; sleep 4; exit 1'";
        emperor.write("v.ini", &vassal(command));
        let line = emperor.wait_log_from(0, &["v.ini", "ended after"]);
        assert!(line.contains("the app exited with status 1; ") && !line.contains("Address"), "{line}");
    });
}

#[test]
fn an_address_that_is_taken_is_the_reason() {
    story(|host| {
        let emperor = host.emperor().start();
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        emperor.write("uwsgi.ini", &format!("[uwsgi]\nuid = {USER}\ngid = {USER}\nhttp-socket = 127.0.0.1:{port}\n"));
        emperor.write("python.ini", &vassal(&format!("command = python3 -m http.server --bind 127.0.0.1 {port}")));
        let line = emperor.wait_cause(0, "uwsgi.ini", "address_in_use");
        assert!(line.contains(&format!("127.0.0.1:{port}")) && line.contains("Address already in use"), "{line}");
        let line = emperor.wait_cause(0, "python.ini", "address_in_use");
        assert!(line.contains(&format!("port {port} is taken by ")), "{line}");
        assert!(emperor.ask(&["status", "uwsgi.ini"]).1.contains(&format!("port {port} is taken by ")));
    });
}

/// The layer is a mount below the old root, which the file takes away.
#[test]
fn a_layer_that_ends_with_the_old_root_is_named() {
    story(|host| {
        let emperor = host.emperor().start();
        let (ns, root) = (host.open_dir("ns"), host.open_dir("ufs"));
        let (disk, layer) = (host.open_dir("disk"), host.open_dir("ns/precise"));
        let cow = host.open_dir("ns/cow");
        for dir in [".old_root", "proc", "dev", "etc"] {
            fs::create_dir_all(disk.join(dir)).unwrap();
        }
        fs::copy("/etc/passwd", disk.join("etc/passwd")).unwrap();
        fs::copy("/etc/group", disk.join("etc/group")).unwrap();
        let mounted = std::process::Command::new("mount").arg("--bind").args([&disk, &layer]).status();
        assert!(mounted.expect("mount is there").success());
        let (ns, root, cow_path) = (ns.display(), root.display(), cow.display().to_string());
        let union = format!("unionfs-fuse -ocow,chroot={ns},allow_other /precise=RO:/cow=RW {root}");
        emperor.write(
            "v.ini",
            &format!(
                "[vassal]\nuid = {USER}\ngid = {USER}\nhook-pre-jail = callret:chdir /\nhook-pre-jail = exec:{union}\n\
                 pivot_root = {root} {root}/.old_root\nhook-as-root = umount:/.old_root rec,detach\ncommand = sleep 1000\n"
            ),
        );
        let (_, said) = run_liege(&["check".as_ref(), emperor.file("v.ini").as_os_str()]);
        let named = format!("the layer {} is a mount of its own: umount:/.old_root in line 7 takes it away", layer.display());
        assert!(said.contains(&named), "{said}");
        let line = emperor.wait_log_from(0, &["v.ini", "destroying"]);
        // The one that was a mount, and none of the plain directories.
        let gone = format!("took away a mount of its own: the layer {} (", layer.display());
        assert!(line.contains(&gone) && !line.contains(&cow_path), "{line}");
        emperor.remove("v.ini");
        wait_until("it to be gone", LONG, || emperor.vassals().is_empty());
        let unmounted = || std::process::Command::new("umount").arg(&layer).status().is_ok_and(|status| status.success());
        wait_until("the layer to be unmounted", LONG, unmounted);
        drop(cow);
    });
}

/// bindfs holds the directory it shows, and its target stays with the new root.
#[test]
fn what_bindfs_shows_does_not_end_with_the_old_root() {
    story(|host| {
        let emperor = host.emperor().start();
        let (root, source) = (host.open_dir("root"), host.open_dir("source"));
        let tmpfs = |at: &std::path::Path| {
            let mounted = std::process::Command::new("mount").args(["-t", "tmpfs", "none"]).arg(at).status();
            assert!(mounted.expect("mount is there").success());
        };
        [&root, &source].into_iter().for_each(|at| tmpfs(at));
        for dir in [".old_root", "bnd"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        fs::create_dir_all(source.join("shown")).unwrap();
        let (at, shown) = (root.display(), source.display());
        // Its app is nowhere, so what is missing is looked for. The directory that it starts in is behind bindfs.
        emperor.write(
            "v.ini",
            &format!(
                "[vassal]\nuid = root\ngid = root\nhook-pre-jail = exec:bindfs -o allow_other {shown} {at}/bnd\n\
                 pivot_root = {at} {at}/.old_root\nhook-as-root = umount:/.old_root rec,detach\nchdir = /bnd/shown\n\
                 mountpoint-check = /bnd\ncommand = /nosuch\n"
            ),
        );
        let (_, said) = run_liege(&["check".as_ref(), emperor.file("v.ini").as_os_str()]);
        assert!(!said.contains("layer"), "{said}");
        let line = emperor.wait_cause(0, "v.ini", "exec_failed");
        assert!(line.contains("/nosuch") && !line.contains("took away"), "{line}");
        emperor.remove("v.ini");
        wait_until("it to be gone", LONG, || emperor.vassals().is_empty());
        for at in [root, source] {
            let unmounted = || std::process::Command::new("umount").arg(&at).status().is_ok_and(|status| status.success());
            wait_until("the mounts to be unmounted", LONG, unmounted);
        }
    });
}

#[test]
fn a_uwsgi_that_serves_nothing_is_doubtful_in_every_view() {
    story(|host| {
        let emperor = host.emperor().arg("--emperor-metrics").arg(ANY_PORT).arg("--emperor-health-log").arg("1").start();
        let listener = Listener::of(&emperor);
        let uwsgi = |more: &str| {
            format!("[uwsgi]\nuid = {USER}\ngid = {USER}\nmaster = true\nhttp-socket = 127.0.0.1:{}\n{more}\n", free_port())
        };
        emperor.write("noplugin.ini", &uwsgi("plugin = nosuchplugin"));
        emperor.write("nofile.ini", &uwsgi("plugin = python3\nwsgi-file = /nonexistent.py"));
        emperor.write("worker.ini", &vassal("command = sleep 1000"));
        for name in ["noplugin.ini", "nofile.ini"] {
            listener.wait_value(&format!("liege_vassal_doubt{{vassal=\"{name}\"}}"), LONG, |doubt| doubt == 1.0);
            emperor.wait_log(&format!("health: liege_vassal_doubt{{vassal=\"{name}\"}} 1"));
            assert!(emperor.ask(&["status", name]).1.starts_with(&format!("{name}: doubtful, running")));
        }
        listener.wait_value("liege_vassal_doubt{vassal=\"worker.ini\"}", LONG, |doubt| doubt == 0.0);
    });
}

#[test]
fn a_uwsgi_without_its_plugin_is_told_which() {
    story(|host| {
        let emperor = host.emperor().plugins_are_named().start();
        let uwsgi =
            |more: &str| format!("[uwsgi]\nuid = {USER}\ngid = {USER}\nhttp-socket = 127.0.0.1:{}\n{more}\n", free_port());
        let shows = |view: &[&str], what: &str| {
            wait_until(&format!("{view:?} to show {what}"), LONG, || emperor.ask(view).1.contains(what))
        };
        for (name, lines, lacks) in [
            ("psgi.ini", "psgi = /srv/app.psgi", "psgi needs plugin = psgi"),
            ("wsgi.ini", "plugin = psgi\nwsgi-file = /srv/app.py", "wsgi-file needs plugin = python3"),
            ("rack.ini", "rack = /srv/app.ru", "rack needs plugin = rack"),
        ] {
            emperor.write(name, &uwsgi(lines));
            shows(&["status", name], &format!("it may serve nothing, {lacks}, its uwsgi says: *** no app loaded"));
            emperor.write(&format!("need-{name}"), &uwsgi(&format!("need-app = true\n{lines}")));
            let line = emperor.wait_cause(0, &format!("need-{name}"), "exit");
            assert!(line.contains(&format!("{lacks}: \"*** no app loaded. GAME OVER ***\"")), "{line}");
            let (_, said) = run_liege(&["check".as_ref(), emperor.file(name).as_os_str()]);
            assert!(said.contains("[no-plugin]"), "{said}");
        }
        // A router of which no line loads the plugin is no address at all.
        emperor.write("router.ini", &format!("[uwsgi]\nuid = {USER}\ngid = {USER}\nhttp = 127.0.0.1:{}\n", free_port()));
        let line = emperor.wait_cause(0, "router.ini", "exit");
        assert!(line.contains("http needs plugin = http: \"The -s/--socket option is missing"), "{line}");
        let (_, said) = run_liege(&["check".as_ref(), emperor.file("router.ini").as_os_str()]);
        assert!(said.contains("[no-plugin]") && said.contains("add plugin = http"), "{said}");
        emperor.write("strict.ini", &uwsgi("strict = true\npsgi = /srv/app.psgi"));
        let line = emperor.wait_cause(0, "strict.ini", "exit");
        assert!(line.contains("psgi needs plugin = psgi: \"[strict-mode] unknown config directive: psgi\""), "{line}");
    });
}

#[test]
fn a_uwsgi_that_does_not_find_its_app_names_it() {
    story(|host| {
        let emperor = host.emperor().start();
        let uwsgi =
            |more: &str| format!("[uwsgi]\nuid = {USER}\ngid = {USER}\nhttp-socket = 127.0.0.1:{}\n{more}\n", free_port());
        for (name, lines, running, ended) in [
            (
                "psgi.ini",
                "plugin = psgi\npsgi = /nonexistent.psgi",
                "nothing, psgi = /nonexistent.psgi, its",
                "psgi = /nonexistent.psgi: \"",
            ),
            (
                "file.ini",
                "plugin = python3\nwsgi-file = /nonexistent.py",
                "open python file /nonexistent.py;",
                "open python file /nonexistent.py; unable to load app 0",
            ),
            ("module.ini", "plugin = python3\nmodule = nosuch:app", "No module named 'nosuch';", "No module named 'nosuch'\""),
            (
                "callable.ini",
                "plugin = python3\nmodule = string:nosuch",
                "nothing, module = string:nosuch, its uwsgi says: unable to load app 0",
                "module = string:nosuch: \"unable to load app 0",
            ),
        ] {
            emperor.write(name, &uwsgi(lines));
            wait_until(&format!("{running} to be shown"), LONG, || emperor.ask(&["status", name]).1.contains(running));
            emperor.write(&format!("need-{name}"), &uwsgi(&format!("need-app = true\n{lines}")));
            let line = emperor.wait_cause(0, &format!("need-{name}"), "exit");
            assert!(line.contains(ended), "{line}");
        }
    });
}

#[test]
fn a_directory_that_a_uwsgi_does_not_find_is_named() {
    story(|host| {
        let emperor = host.emperor().start();
        let missing = host.path("missing/deep").display().to_string();
        for (option, more) in [("chdir", ""), ("spooler", ""), ("virtualenv", "plugin = python3\n")] {
            let (name, line) = (format!("{option}.ini"), format!("{option} = {missing}"));
            let socket = format!("http-socket = 127.0.0.1:{}\n", free_port());
            emperor.write(&name, &format!("[uwsgi]\nuid = {USER}\ngid = {USER}\nmaster = true\n{socket}{more}{line}\n"));
            let told = emperor.wait_cause(0, &name, "exit");
            assert!(told.contains(&format!("{line}: \"")), "{told}");
        }
    });
}

#[test]
fn a_socket_that_cannot_be_bound_is_named() {
    story(|host| {
        let emperor = host.emperor().start();
        let place = host.path("missing/shop.sock");
        emperor.write("v.ini", &format!("[uwsgi]\nuid = {USER}\ngid = {USER}\nsocket = {}\n", place.display()));
        let line = emperor.wait_cause(0, "v.ini", "exit");
        assert!(line.contains(&format!("socket = {}: \"bind(): No such file or directory", place.display())), "{line}");
    });
}
