//! `command =`: any program, as uid and gid, after the jail: Python's web server, a shell script, gunicorn.

use std::fs;

use liege_integration_tests::apps::{USER, ZipApp, user};
use liege_integration_tests::http::free_port;
use liege_integration_tests::{LONG, served, story, tools};

/// What a vassal of the user's needs on top of its command.
fn as_user() -> String {
    format!("uid = {USER}\ngid = {USER}\n")
}

#[test]
fn pythons_web_server_serves_the_zip() {
    story(|host| {
        let app = ZipApp::new(host, "app", "from the zip");
        let (port, mount) = (app.port, app.mount.display());
        let emperor = host.emperor().start();
        let text = format!(
            "[vassal]\n{}exec-as-user = fuse-zip -r {} {mount}\ncommand = python3 -m http.server --bind 127.0.0.1 --directory {mount} {port}\nmountpoint-check = {mount}\n",
            as_user(),
            app.zip.display()
        );
        emperor.write("python.ini", &text);
        served(port, "page.txt", LONG);
        let server = emperor.vassal("http.server").process("python3");
        assert_eq!(server.uid(), Some(user().0.as_raw()));
    });
}

#[test]
fn a_shell_script_with_arguments_that_have_blanks() {
    story(|host| {
        let (script, out) = (host.path("says.sh"), host.open_dir("out").join("said"));
        fs::write(&script, "#!/bin/sh\nfor word; do echo \"[$word]\"; done > \"$OUT\"\nid -u >> \"$OUT\"\nexec sleep 1000\n")
            .unwrap();
        fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let emperor = host.emperor().start();
        let text = format!(
            "[vassal]\n{}command = {} one 'two words' \"three $HOME\"\nenv = OUT={}\n",
            as_user(),
            script.display(),
            out.display()
        );
        emperor.write("script.ini", &text);
        let expected = format!("[one]\n[two words]\n[three $HOME]\n{}\n", user().0);
        liege_integration_tests::wait_until("its words", LONG, || fs::read_to_string(&out).is_ok_and(|said| said == expected));
    });
}

#[test]
fn gunicorn_serves_and_is_replaced_when_its_line_changes() {
    story(|host| {
        tools::need("gunicorn");
        let port = free_port();
        let dir = host.open_dir("site");
        fs::write(dir.join("site.py"), "").unwrap();
        fs::write(
            dir.join("hello.py"),
            "import os\ndef app(env, start):\n    start('200 OK', [])\n    return [('gunicorn %s' % os.environ['ROUND']).encode()]\n",
        )
        .unwrap();
        let text = |round: &str| {
            format!(
                "[vassal]\n{}command = gunicorn --bind 127.0.0.1:{port} --worker-tmp-dir /dev/shm hello:app\nchdir = {}\nenv = ROUND={round}\n",
                as_user(),
                dir.display()
            )
        };
        let emperor = host.emperor().start();
        emperor.write("gunicorn.ini", &text("one"));
        served(port, "gunicorn one", LONG);
        let vassal = emperor.vassal("hello:app");
        emperor.write("gunicorn.ini", &text("two"));
        served(port, "gunicorn two", LONG);
        assert_eq!(emperor.vassal("hello:app").init, vassal.init, "replaced inside its namespaces");
    });
}

#[test]
fn a_program_that_is_not_there_is_named() {
    story(|host| {
        let emperor = host.emperor().start();
        emperor.write("typo.ini", "[vassal]\ncommand = pyhton3 -m http.server\nuid = root\n");
        let line = emperor.wait_cause(0, "typo.ini", "exec_failed");
        assert!(line.contains("pyhton3") && line.contains("typo.ini:2:"), "{line}");
    });
}
