//! The control socket is open to all: root sees everything, a user the vassals that run as him, with nothing but curl.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use liege_integration_tests::{Emperor, SHORT, story, wait_until};
use nix::unistd::User;

/// What a user gets for a request: the status, and the body.
fn curl(emperor: &Emperor, user: &str, method: &str, path: &str) -> (u16, serde_json::Value) {
    let user = User::from_name(user).expect("passwd is readable").expect("every Debian has it");
    let output = Command::new("curl")
        .args(["--silent", "--max-time", "20", "--write-out", "\n%{http_code}", "--request", method, "--unix-socket"])
        .arg(&emperor.control)
        .arg(format!("http://liege{path}"))
        .uid(user.uid.as_raw())
        .gid(user.gid.as_raw())
        .current_dir("/")
        .output()
        .expect("curl is installed: make deps");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = said.rsplit_once('\n').expect("curl writes the status last");
    (status.parse().expect("a status"), serde_json::from_str(body).unwrap_or_default())
}

fn names(view: &serde_json::Value) -> Vec<String> {
    let vassals = view["vassals"].as_array().cloned().unwrap_or_default();
    vassals.iter().filter_map(|vassal| Some(vassal["name"].as_str()?.to_owned())).collect()
}

/// A name that is used again by somebody else's file begins anew for him; root still knows it all.
#[test]
fn the_next_owner_of_a_name_hears_nothing_of_the_former_one() {
    story(|host| {
        let emperor = host.emperor().start();
        let of = |user: &str, command: &str| {
            emperor.write("own.ini", &format!("[vassal]\nuid = {user}\ngid = {user}\ncommand = {command}\n"));
        };
        of("www-data", "sh -c 'echo SECRET; exit 3'");
        let asked = |user: &str| curl(&emperor, user, "GET", "/v1/vassals/own.ini");
        let has_it = |said: &serde_json::Value| said.to_string().contains("SECRET");
        wait_until("the last words in the record", SHORT, || has_it(&asked("root").1["deaths"]));
        assert!(has_it(&asked("www-data").1["deaths"]), "his own he may read");

        of("daemon", "/bin/sleep 100000");
        wait_until("the new owner's to run", SHORT, || asked("daemon").1["vassal"]["phase"] == "running");
        let (_, detail) = asked("daemon");
        assert_eq!(detail["deaths"], serde_json::json!([]), "{detail}");
        let vassal = &detail["vassal"];
        assert!(vassal["last_cause"].is_null() && vassal["last_end"].is_null(), "{vassal}");
        assert_eq!(vassal["restarts"], serde_json::json!([]));
        assert_eq!(asked("www-data").0, 404, "it is his no more");
        assert!(has_it(&asked("root").1["deaths"]));

        let events = |user| curl(&emperor, user, "GET", "/v1/events?vassal=own.ini").1.as_array().cloned().unwrap_or_default();
        let kinds = |user| events(user).iter().map(|event| event["kind"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!(kinds("daemon").iter().find(|kind| *kind == "ended"), None, "{:?}", events("daemon"));
        assert!(kinds("www-data").contains(&"ended".to_owned()), "{:?}", events("www-data"));
    });
}

/// The file goes to somebody else while the former owner's life still ends.
#[test]
fn the_end_of_a_life_is_told_to_whose_it_was() {
    story(|host| {
        let emperor = host.emperor().start();
        let of = |user: &str, command: &str| {
            emperor.write("own.ini", &format!("[vassal]\nuid = {user}\ngid = {user}\ncommand = {command}\n"));
        };
        of("www-data", "/bin/sleep 100000");
        emperor.wait_log_from(0, &["own.ini", "started"]);
        let mark = emperor.mark();
        of("daemon", "/bin/sleep 200000");
        emperor.wait_log_from(mark, &["own.ini", "started"]);
        let kinds = |user| {
            let events = curl(&emperor, user, "GET", "/v1/events?vassal=own.ini").1.as_array().cloned().unwrap_or_default();
            events.iter().map(|event| event["kind"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let (former, next) = (kinds("www-data"), kinds("daemon"));
        assert!(former.ends_with(&["stopping".to_owned(), "ended".to_owned()]), "{former:?}");
        assert_eq!(next.iter().find(|kind| matches!(kind.as_str(), "stopping" | "ended" | "rebuilding")), None, "{next:?}");
        let causes = |user| curl(&emperor, user, "GET", "/v1/vassals/own.ini").1["deaths"].as_array().map(Vec::len);
        wait_until("the end in root's records", SHORT, || causes("root") == Some(1));
        assert_eq!(causes("daemon"), Some(0));
    });
}

#[test]
fn a_user_sees_and_orders_his_own_vassals_only() {
    story(|host| {
        let emperor = host.emperor().start();
        for user in ["www-data", "daemon", "root"] {
            let text = format!("[vassal]\nuid = {user}\ngid = {user}\ncommand = /bin/sleep 100000\n");
            emperor.write(&format!("of-{user}.ini"), &text);
            emperor.wait_log_from(0, &[&format!("of-{user}.ini"), "started"]);
        }
        emperor.write("bad.ini", "[vassal]\ncommand = /bin/true\nuid = nobody-of-this-name\n");
        emperor.wait_log("bad.ini:");

        let (status, view) = curl(&emperor, "www-data", "GET", "/v1/vassals");
        assert_eq!((status, names(&view)), (200, vec!["of-www-data.ini".to_owned()]));
        assert_eq!(view["unusable"], serde_json::json!([]), "whose a bad file is nobody knows");
        assert_eq!(names(&curl(&emperor, "root", "GET", "/v1/vassals").1).len(), 3);
        assert_eq!(names(&curl(&emperor, "nobody", "GET", "/v1/vassals").1).len(), 0);

        for (method, path) in [
            ("GET", "/v1/vassals/of-daemon.ini"),
            ("POST", "/v1/vassals/of-daemon.ini/stop"),
            ("POST", "/v1/vassals/of-root.ini/restart"),
            ("POST", "/v1/vassals/bad.ini/start"),
        ] {
            let (foreign, said) = curl(&emperor, "www-data", method, path);
            let (absent, nothing) = curl(&emperor, "www-data", method, &path.replace("of-", "no-").replace("bad", "no"));
            assert_eq!((foreign, &said), (404, &nothing), "{path}: as if it were not there");
            assert_eq!(absent, 404);
        }
        assert_eq!(curl(&emperor, "www-data", "POST", "/v1/rescan").0, 403);

        let (status, said) = curl(&emperor, "www-data", "POST", "/v1/stop");
        assert_eq!((status, said["answer"].as_str()), (200, Some("done")));
        let stopped =
            |name: &str| curl(&emperor, "root", "GET", &format!("/v1/vassals/{name}")).1["vassal"]["phase"] == "suspended";
        wait_until("his own to be stopped", SHORT, || stopped("of-www-data.ini"));
        assert!(!stopped("of-daemon.ini") && !stopped("of-root.ini"), "a stop of all is of all his own");

        let (status, events) = curl(&emperor, "www-data", "GET", "/v1/events");
        let events = events.as_array().cloned().unwrap_or_default();
        assert!(status == 200 && events.iter().any(|event| event["kind"] == "suspended"), "{events:?}");
        assert!(events.iter().all(|event| event["vassal"] == "of-www-data.ini"), "{events:?}");
        let (_, detail) = curl(&emperor, "www-data", "GET", "/v1/vassals/of-www-data.ini");
        assert_eq!(detail["vassal"]["owner"], User::from_name("www-data").unwrap().unwrap().uid.as_raw());
    });
}
