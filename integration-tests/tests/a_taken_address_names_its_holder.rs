//! An app that fails because its address is taken: root reads which process has it, a tenant only of processes of its own.

use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use liege_integration_tests::apps::{USER, user};
use liege_integration_tests::http::free_port;
use liege_integration_tests::tools::liege;
use liege_integration_tests::{Emperor, LONG, story, wait_until};

/// The port is an argument of the command, so the line of the failure names none.
fn server(port: u16) -> String {
    format!("[vassal]\nuid = {USER}\ngid = {USER}\ncommand = python3 -m http.server --bind 127.0.0.1 {port}\n")
}

/// Binds a unix socket whose path is in its arguments alone.
fn binds(path: &std::path::Path) -> String {
    let bind = "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[2])";
    format!("[vassal]\nuid = {USER}\ngid = {USER}\ncommand = python3 -c \"{bind}\" --uds {}\n", path.display())
}

/// What a user is shown.
fn asked_as_user(emperor: &Emperor, words: &[&str]) -> String {
    let mut asked = Command::new(liege());
    asked.args(words).arg("--control").arg(&emperor.control).current_dir("/").uid(user().0.as_raw()).gid(user().1.as_raw());
    let output = asked.output().expect("liege can be run by a user");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn root_reads_who_has_the_port_and_a_tenant_that_it_is_taken() {
    story(|host| {
        let emperor = host.emperor().never_flapping().start();
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = held.local_addr().unwrap().port();
        let uwsgi = format!("[uwsgi]\nuid = {USER}\ngid = {USER}\nhttp-socket = 127.0.0.1:{port}\n");
        for (name, text) in [("uwsgi.ini", uwsgi), ("python.ini", server(port))] {
            emperor.write(name, &text);
            let line = emperor.wait_cause(0, name, "address_in_use");
            let by = format!("port {port} is taken by ");
            assert!(line.contains(&by) && line.contains(&format!("(pid {})", std::process::id())), "{line}");
            for view in [&["status"][..], &["status", name], &["events"]] {
                wait_until("root to be shown it", LONG, || emperor.ask_well(view).contains(&by));
                let taken = format!("port {port} is taken: ");
                wait_until("the user to be shown less", LONG, || asked_as_user(&emperor, view).contains(&taken));
                let said = asked_as_user(&emperor, view);
                assert!(!said.contains("is taken by") && !said.contains(&format!("(pid {})", std::process::id())), "{said}");
            }
        }
    });
}

#[test]
fn a_tenants_own_vassal_is_named_to_it() {
    story(|host| {
        let emperor = host.emperor().never_flapping().start();
        let port = free_port();
        emperor.write("first.ini", &server(port));
        wait_until("the first to listen", LONG, || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        emperor.write("second.ini", &server(port));
        let line = emperor.wait_cause(0, "second.ini", "address_in_use");
        let named = format!("port {port} is taken by the vassal first.ini (python3, pid ");
        assert!(line.contains(&named), "{line}");
        wait_until("its owner to be shown it", LONG, || asked_as_user(&emperor, &["status", "second.ini"]).contains(&named));
    });
}

#[test]
fn a_unix_socket_is_taken_by_a_process_or_was_left_behind() {
    story(|host| {
        let emperor = host.emperor().never_flapping().start();
        let (held, left) = (host.path("held.sock"), host.path("left.sock"));
        // A process of its own, because the daemon must see the path as it does.
        let listen = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); sys.stdin.read()";
        let mut holder = Command::new("python3").args(["-c", listen]).arg(&held).stdin(Stdio::piped()).spawn().unwrap();
        wait_until("it to listen", LONG, || UnixStream::connect(&held).is_ok());
        emperor.write("held.ini", &binds(&held));
        let line = emperor.wait_cause(0, "held.ini", "address_in_use");
        assert!(line.contains(&format!("{} is taken by python3 (pid {})", held.display(), holder.id())), "{line}");
        drop(holder.stdin.take());
        holder.wait().unwrap();
        drop(UnixListener::bind(&left).unwrap());
        emperor.write("left.ini", &binds(&left));
        let line = emperor.wait_cause(0, "left.ini", "address_in_use");
        assert!(line.contains(&format!("{} is taken: ", left.display())) && line.contains("nothing listens there"), "{line}");
    });
}
