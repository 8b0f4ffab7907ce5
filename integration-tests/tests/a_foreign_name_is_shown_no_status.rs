//! A name of another owner's may be resolved to this machine's address (DNS rebinding): then a foreign page in an operator's
//! browser could read the status. So the metrics listener answers to its own names only, and a proxy's name is given to it.

use liege_integration_tests::http::get_as;
use liege_integration_tests::scrape::{ANY_PORT, Listener};
use liege_integration_tests::story;
use liege_integration_tests::tools::run_liege;

const PATHS: [&str; 7] = ["/", "/page.js", "/events", "/metrics", "/healthz", "/readyz", "/nothing"];

#[test]
fn a_foreign_name_is_shown_no_status() {
    story(|host| {
        let given = ["--emperor-metrics-host", "Liege.Example.com", "--emperor-metrics-host", "proxy:8443"];
        let emperor = host.emperor().arg("--emperor-metrics").arg(ANY_PORT);
        let emperor = given.into_iter().fold(emperor, |emperor, word| emperor.arg(word)).start();
        let port = Listener::of(&emperor).port;
        for path in PATHS {
            let (status, said) = get_as(port, path, Some("evil.example")).unwrap();
            assert_eq!(status, 421, "{path}: {said}");
            assert!(said.contains("emperor-metrics-host = NAME") && said.lines().count() == 1, "{path}: {said}");
        }
        let node = nix::unistd::gethostname().unwrap().into_string().unwrap();
        let own = [&node, "127.0.0.1", "10.1.2.3:9153", "[::1]:9153", "LOCALHOST", "liege.example.com.:443", "proxy"];
        for name in own.map(Some).into_iter().chain([None]) {
            assert_eq!(get_as(port, "/healthz", name).unwrap(), (200, "ok\n".to_owned()), "{name:?}");
        }
        for foreign in ["example.com", "liege.example.com.evil.example", "localhost.evil.example", "127.0.0.1.evil.example"] {
            assert_eq!(get_as(port, "/metrics", Some(foreign)).unwrap().0, 421, "{foreign}");
        }
        // The control socket goes by the peer that the kernel tells, whatever name it is asked by.
        assert_eq!(emperor.ask(&["status"]).0, 0);
    });
}

#[test]
fn a_name_that_none_can_be_is_told_with_its_place() {
    story(|host| {
        let file = host.path("emperor.ini");
        let text = "[liege]\nemperor = /x\nemperor-metrics = :9153\nemperor-metrics-host = https://liege.example.com/\n";
        std::fs::write(&file, text).unwrap();
        let (status, said) = run_liege(&["check".as_ref(), file.as_os_str()]);
        assert_eq!(status, 1, "{said}");
        assert!(said.contains("emperor.ini:4:24: error:") && said.contains("is no host name"), "{said}");
        std::fs::write(&file, "[liege]\nemperor = /x\nemperor-use-clone = fs,pid\nemperor-metrics-host = a.example\n").unwrap();
        let (status, said) = run_liege(&["check".as_ref(), file.as_os_str()]);
        assert_eq!(status, 0, "{said}");
        assert!(said.contains("emperor.ini:4:1: warning:") && said.contains("emperor-metrics is not set"), "{said}");
    });
}
