//! `start-limit`: a vassal that has failed so often is given up, and says so everywhere. A start, and a touch of its file, begin anew.

use liege_integration_tests::scrape::{ANY_PORT, Listener};
use liege_integration_tests::{LONG, story};

#[test]
fn what_fails_too_often_is_given_up_where_asked_for() {
    story(|host| {
        let limits = ["--emperor-throttle", "10", "--emperor-start-limit", "3"];
        let args = ["--emperor-metrics", ANY_PORT, "--emperor-health-log", "1"].into_iter().chain(limits);
        let emperor = args.fold(host.emperor(), |launch, argument| launch.arg(argument)).start();
        let metrics = Listener::of(&emperor);
        emperor.write("fails.ini", "[vassal]\ncommand = /bin/false\nuid = root\ngid = root\n");
        // Its own word goes before the emperor's.
        emperor.write("tries.ini", "[vassal]\ncommand = /bin/false\nuid = root\ngid = root\nstart-limit = 0\n");
        let given_up = "given up after 3 failures (start-limit)";
        let mut mark = 0;
        for begins_anew in [Some("start"), Some("clear"), Some("touch"), None] {
            let told = emperor.wait_log_from(mark, &[given_up]);
            assert!(told.contains("fails.ini"), "{told}");
            metrics.wait_value(r#"liege_vassal_gave_up{vassal="fails.ini"}"#, LONG, |value| value == 1.0);
            mark = emperor.mark();
            match begins_anew {
                Some("touch") => emperor.touch("fails.ini"),
                Some(verb) => assert!(emperor.ask_well(&[verb, "fails.ini"]).contains("done")),
                None => {}
            }
        }
        emperor.wait_log(r#"health: liege_vassal_gave_up{vassal="fails.ini"} 1"#);
        let status = emperor.ask_well(&["status"]);
        assert!(status.contains("given up"), "{status}");
        let detail = emperor.ask_well(&["status", "fails.ini"]);
        assert!(detail.contains("fails.ini: given up") && detail.contains("liege start fails.ini"), "{detail}");
        let json = emperor.ask_well(&["status", "--json", "fails.ini"]);
        assert!(json.contains("\"gave_up\": true"), "{json}");
        let events = emperor.ask_well(&["events", "fails.ini"]);
        assert!(events.contains(given_up), "{events}");

        assert_eq!(metrics.value(r#"liege_vassal_gave_up{vassal="tries.ini"}"#), Some(0.0));
        emperor.write("fails.ini", "[vassal]\ncommand = /bin/sleep 100000\nuid = root\ngid = root\n");
        metrics.wait_value(r#"liege_vassal_up{vassal="fails.ini"}"#, LONG, |up| up == 1.0);
        assert_eq!(metrics.value(r#"liege_vassal_gave_up{vassal="fails.ini"}"#), Some(0.0));
    });
}
