//! Files of uWSGI's that meant something else here, without a word: each runs as its Emperor would run it.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use liege_integration_tests::apps::{Reporter, USER, user};
use liege_integration_tests::http::free_port;
use liege_integration_tests::tools::run_liege;
use liege_integration_tests::{LONG, served, story, wait_until};

/// A uwsgi as the user that answers at this port.
fn uwsgi(dir: &Path, port: u16, more: &str) -> String {
    let app = dir.join("app.py");
    fs::write(&app, "def application(e, s):\n    s('200 OK', [])\n    return [b'served']\n").expect("write in our own directory");
    format!("[uwsgi]\nplugin = python3\nmaster = true\nhttp-socket = 127.0.0.1:{port}\nwsgi-file = {}\n{more}", app.display())
}

#[test]
fn immediate_uid_decides_who_runs_hooks() {
    story(|host| {
        let (out, port) = (host.open_dir("out"), free_port());
        let who = |phase: &str| format!("{phase} $(id -u) $(echo a-b) >> {}/who", out.display());
        let emperor = host.emperor().start();
        emperor.write(
            "v.ini",
            &uwsgi(
                host.dir(),
                port,
                &format!(
                    "immediate-gid = {USER}\nimmediate-uid = {USER}\nhook-asap = exec:echo {}\nexec-pre-jail = echo {}\n\
                     exec-as-root = echo {}\nexec-as-user = echo {}\n",
                    who("asap"),
                    who("pre-jail"),
                    who("as-root"),
                    who("as-user")
                ),
            ),
        );
        served(port, "served", LONG);
        let uid = user().0;
        assert_eq!(fs::read_to_string(out.join("who")).unwrap(), format!("asap {uid} a-b\npre-jail {uid} a-b\n"));
        assert_eq!(emperor.vassal("emperor://v.ini").process("uwsgi").uid(), Some(uid.as_raw()));
    });
}

#[test]
fn a_uwsgi_that_is_idle_is_ended_and_comes_up_anew() {
    story(|host| {
        let port = free_port();
        let emperor = host.emperor().start();
        let more = format!("uid = {USER}\ngid = {USER}\nidle = 1\ndie-on-idle = true\n");
        emperor.write("v.ini", &uwsgi(host.dir(), port, &more));
        served(port, "served", LONG);
        let mark = emperor.mark();
        emperor.wait_cause(mark, "v.ini", "idle");
        emperor.wait_log_from(mark, &["v.ini: started"]);
        served(port, "served", LONG);
    });
}

#[test]
fn the_daemons_umask_reaches_vassals() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let hook = host.open_dir("out").join("hook");
        let emperor = host.emperor().under(&["sh", "-c", "umask 007; exec \"$0\" \"$@\""]).start();
        emperor.write("v.ini", &reporter.vassal(&format!("exec-as-root = umask > {}\n", hook.display())));
        assert_eq!(reporter.started(1)["status"]["Umask"], "0007");
        assert_eq!(fs::read_to_string(&hook).unwrap(), "0007\n");
    });
}

#[test]
fn a_reload_brings_about_what_a_uwsgi_does_once() {
    story(|host| {
        let (sockets, port) = (host.open_dir("sockets"), free_port());
        let socket = sockets.join("a.sock");
        let file = |lines: &str| {
            let own = format!("uid = {USER}\ngid = {USER}\nsocket = {}\n{lines}", socket.display());
            uwsgi(host.dir(), port, &own)
        };
        let mode =
            || fs::symlink_metadata(&socket).ok().filter(|m| m.file_type().is_socket()).map(|m| m.permissions().mode() & 0o777);
        let emperor = host.emperor().start();
        emperor.write("v.ini", &file(&format!("chmod-socket = 660\nlogto2 = {}/A.log\n", sockets.display())));
        served(port, "served", LONG);
        assert_eq!(mode(), Some(0o660));
        let init = emperor.vassal("emperor://v.ini").init;
        emperor.write("v.ini", &file(&format!("chmod-socket = 666\nlogto2 = {}/B.log\n", sockets.display())));
        wait_until("the new mode", LONG, || mode() == Some(0o666));
        wait_until("the new log", LONG, || sockets.join("B.log").exists());
        served(port, "served", LONG);
        fs::remove_file(&socket).unwrap();
        emperor.touch("v.ini");
        wait_until("the socket again", LONG, || mode() == Some(0o666));
        served(port, "served", LONG);
        assert_eq!(emperor.vassal("emperor://v.ini").init, init, "in the kept namespaces");
    });
}

#[test]
fn a_command_in_a_uwsgis_file_is_a_name() {
    story(|host| {
        let port = free_port();
        let emperor = host.emperor().start();
        let more = format!("uid = {USER}\ngid = {USER}\ncommand = sleep 6001\nattach-daemon = %(command)\nenv = CONF=%o\n");
        emperor.write("v.ini", &uwsgi(host.dir(), port, &more));
        served(port, "served", LONG);
        let vassal = emperor.vassal("emperor://v.ini");
        assert_eq!(vassal.process("sleep").command_line(), "sleep 6001");
        let environment = fs::read(format!("/proc/{}/environ", vassal.process("uwsgi").pid)).unwrap();
        assert!(!String::from_utf8_lossy(&environment).contains("LISTEN_FDS"));
    });
}

#[test]
fn a_check_reads_what_the_daemon_reads() {
    story(|host| {
        let vassals = host.open_dir("v");
        fs::write(vassals.join("token"), "s3cret").unwrap();
        fs::write(vassals.join("common.inc"), "[vassal]\numask = 022\n").unwrap();
        fs::write(vassals.join("b.json"), "{}").unwrap();
        let text =
            format!("[vassal]\nuid = {USER}\ngid = {USER}\nenv = TOKEN=@(%dtoken)\nini = %dcommon.inc\ncommand = sleep 1000\n");
        fs::write(vassals.join("shop.ini"), text).unwrap();
        let relative = pathdiff(&vassals);
        let (status, said) = run_liege(&["check", &format!("{relative}/shop.ini")]);
        assert_eq!((status, said.as_str()), (0, format!("{relative}/shop.ini: good (vassal)\n").as_str()));
        let (status, said) = run_liege(&["check", &relative]);
        assert!(status == 0 && said.contains("b.json: warning") && said.contains("INI form only"), "{said}");
        let sub = vassals.join("sub.ini");
        fs::write(&sub, format!("[uwsgi]\nuid = {USER}\ngid = {USER}\nmaster = true\nemperor = /srv/vassals\n")).unwrap();
        let sub = sub.display().to_string();
        // What it was read as is said before the mistakes that it has as that, with both ways to have it read as a vassal's.
        let (status, said) = run_liege(&["check", &sub]);
        let first = format!("{sub}: warning: is read as the file of liege run --ini");
        let ways = "liege check --vassal FILE, or liege check DIRECTORY";
        assert!(status == 1 && said.starts_with(&first) && said.contains(ways), "{said}");
        assert_eq!(run_liege(&["check", "--vassal", &sub]).0, 0);
        assert_eq!(run_liege(&["check", &vassals.display().to_string()]).0, 0);
    });
}

/// A path from where the test runs.
fn pathdiff(path: &Path) -> String {
    let here = std::env::current_dir().unwrap();
    let up = "../".repeat(here.components().count() - 1);
    format!("{up}{}", path.display().to_string().trim_start_matches('/'))
}
