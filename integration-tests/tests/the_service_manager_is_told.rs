//! A unit of `Type=notify`, as uWSGI's documentation has it: the daemon says when it is ready, when it reloads and when it stops. Its vassals do
//! not hear of that socket.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use liege_integration_tests::{LONG, SHORT, story};
use nix::sys::signal::Signal;

/// What is said, message by message.
fn heard(manager: &UnixDatagram) -> String {
    let mut bytes = [0; 4096];
    let length = manager.recv(&mut bytes).expect("a word in time");
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

#[test]
fn when_it_is_ready_reloads_and_stops() {
    story(|host| {
        let path = host.path("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        manager.set_read_timeout(Some(LONG)).unwrap();
        let emperor = host.emperor().env("NOTIFY_SOCKET", path.to_str().unwrap()).start();
        assert_eq!(heard(&manager), "READY=1\n");
        emperor.write(
            "v.ini",
            "[vassal]\nuid = root\ninherit-env = true\ncommand = sh -c 'echo \"told: $NOTIFY_SOCKET.\"; exec sleep 1001'\n",
        );
        emperor.wait_said("v.ini", "told: .");
        emperor.signal(Signal::SIGHUP);
        let reloads = heard(&manager);
        let since = reloads.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").map(|since| since.trim_end().parse::<u64>());
        assert!(matches!(since, Some(Ok(1..))), "{reloads}");
        assert_eq!(heard(&manager), "READY=1\n");
        emperor.signal(Signal::SIGTERM);
        assert_eq!(heard(&manager), "STOPPING=1\n");
        assert!(emperor.wait_exit(LONG).success());
    });
}

#[test]
fn at_an_abstract_socket_and_never_waited_for() {
    story(|host| {
        let name = format!("liege-story-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        manager.set_read_timeout(Some(LONG)).unwrap();
        let emperor = host.emperor().env("NOTIFY_SOCKET", &format!("@{name}")).start();
        assert_eq!(heard(&manager), "READY=1\n");
        drop(manager);
        emperor.signal(Signal::SIGTERM);
        assert!(emperor.look_for(0, SHORT, |line| line.contains("was not told \"STOPPING=1\"")).is_some());
        assert!(emperor.wait_exit(LONG).success());
    });
}
