//! `emperor-use-clone` with net, uts, ipc: a command sees its own of each, the loopback interface is up, the host keeps its name.

use std::fs;
use std::path::Path;

use liege_integration_tests::apps::{Reporter, USER};
use liege_integration_tests::{LONG, story, wait_until};

#[test]
fn the_loopback_interface_is_up_in_a_network_of_its_own() {
    story(|host| {
        let out = host.open_dir("out").join("said");
        // Both ends of a connection in one process: it works only where the interface is up.
        let script = host.path("talks.py");
        let talks = "import socket, time\nserver = socket.create_server(('127.0.0.1', 80))\n\
             client = socket.create_connection(('127.0.0.1', 80), timeout=5)\nserver.accept()[0].sendall(b'heard')\n\
             open('OUT', 'wb').write(client.recv(5))\ntime.sleep(1000)\n";
        fs::write(&script, talks.replace("OUT", &out.display().to_string())).unwrap();
        let emperor = host.emperor().namespaces(Some("fs,pid,net")).start();
        emperor.write("v.ini", &format!("[vassal]\ncommand = /usr/bin/python3 {}\nuid = root\n", script.display()));
        wait_until("it to hear itself", LONG, || fs::read(&out).is_ok_and(|said| said == b"heard"));
    });
}

#[test]
fn each_kind_is_new_and_the_host_keeps_its_own() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let ours = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let emperor = host.emperor().namespaces(Some("fs,pid,net,uts,ipc,cgroup")).start();
        let lines = format!("uid = {USER}\ngid = {USER}\nhook-as-root = hostname:of-the-vassal\n");
        emperor.write("v.ini", &reporter.vassal(&lines));
        assert_eq!(reporter.started(1)["hostname"], "of-the-vassal");
        assert_eq!(fs::read_to_string("/proc/sys/kernel/hostname").unwrap(), ours);
        let app = emperor.vassal("reports/app").process("report");
        for kind in ["mnt", "pid", "net", "uts", "ipc", "cgroup"] {
            assert_ne!(namespace(app.pid, kind), namespace(emperor.pid, kind), "{kind}");
        }
        assert_eq!(namespace(app.pid, "user"), namespace(emperor.pid, "user"), "which nobody asked for");
    });
}

fn namespace(pid: i32, kind: &str) -> std::path::PathBuf {
    fs::read_link(Path::new("/proc").join(pid.to_string()).join("ns").join(kind)).unwrap()
}
