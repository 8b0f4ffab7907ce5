//! An app that lives for 1.2 s settles each time and fails each time. It is slowed down, and every view says `flapping`, also while it
//! runs and is ready: page, top, status, metrics, health lines, events. Its row stays where it is. What repeats is one line that counts.

use std::process::Command;

use liege_integration_tests::browser::{Browser, Look};
use liege_integration_tests::scrape::{ANY_PORT, Listener};
use liege_integration_tests::terminal::Terminal;
use liege_integration_tests::tools::liege;
use liege_integration_tests::{LONG, story, wait_until};

const FLAPS: &str = "[vassal]\ncommand = /bin/sh -c \"sleep 1.2; exit 3\"\nuid = root\ngid = root\n";
const SLEEPER: &str = "[vassal]\ncommand = /bin/sleep 100000\nuid = root\ngid = root\n";

#[test]
fn what_fails_over_and_over_is_seen_and_slowed_down() {
    story(|host| {
        // A short longest delay: that it runs and waits is seen again and again.
        let args = ["--emperor-metrics", ANY_PORT, "--emperor-health-log", "1", "--emperor-max-throttle", "2000"];
        let emperor = args.into_iter().fold(host.emperor(), |launch, argument| launch.arg(argument)).start();
        let metrics = Listener::of(&emperor);
        emperor.write("flaps.ini", FLAPS);
        emperor.write("a-well.ini", SLEEPER);
        let told = emperor.wait_log("flapping: 5 failures within 300s");
        assert!(told.contains("flaps.ini"), "{told}");
        let ends: Vec<String> = emperor.log().into_iter().filter(|line| line.contains("flaps.ini: ended after")).collect();
        assert!(ends[..4].iter().all(|line| line.contains("starts again now")), "{ends:?}");
        // From now on each delay is longer, up to the longest.
        for delay in ["starts again in 1.000s", "starts again in 2.000s"] {
            emperor.wait_log(delay);
        }
        metrics.wait_value(r#"liege_vassal_flapping{vassal="flaps.ini"}"#, LONG, |value| value == 1.0);
        assert_eq!(metrics.value(r#"liege_vassal_flapping{vassal="a-well.ini"}"#), Some(0.0));
        emperor.wait_log(r#"health: liege_vassal_flapping{vassal="flaps.ini"} 1"#);

        // While it waits and while it runs.
        for phase in ["flapping, waiting", "flapping, running"] {
            wait_until(phase, LONG, || emperor.ask_well(&["status"]).contains(phase));
        }
        let status = emperor.ask_well(&["status"]);
        assert!(status.contains("ago (×"), "{status}");
        let detail = emperor.ask_well(&["status", "flaps.ini"]);
        assert!(detail.contains("failures, seen") && detail.contains("exit ×"), "{detail}");
        assert_eq!(detail.matches("having lived").count(), 1, "one line that counts: {detail}");
        let events = emperor.ask_well(&["events", "flaps.ini"]);
        assert!(events.contains("flapping: 5 failures") && events.contains("(×"), "{events}");
        assert_eq!(events.matches("ended after").count(), 1, "one line that counts: {events}");
        let json = emperor.ask_well(&["status", "--json", "flaps.ini"]);
        assert!(json.contains("\"flapping\": {"), "{json}");

        let mut command = Command::new(liege());
        command.arg("top").arg("--control").arg(&emperor.control);
        let mut top = Terminal::start(&mut command, 120, 24);
        top.wait("it in the title", |text| text.contains("1 flapping"));
        top.press("s");
        let is_first = |text: &str| text.find("flaps.ini") < text.find("a-well.ini");
        // While it waits and while it runs.
        for running in ["1 running", "2 running"] {
            top.wait(running, |text| {
                text.contains("*STATE") && text.contains(running) && text.contains("flaps.ini   flapping") && is_first(text)
            });
        }
        top.press("q");
        assert_eq!(top.end().0, Some(0));

        let mut browser = Browser::start(host);
        browser.open(&format!("http://127.0.0.1:{}/", metrics.port), Look::Light);
        for phase in ["waiting", "running"] {
            let first = "document.querySelector('#rows article')?.innerText";
            browser.wait(phase, &format!("/flaps.ini[^]*flapping[^]*{phase} for/.test({first})"));
        }
        let text = browser.text();
        assert!(text.contains("×"), "its ends are one line that counts: {text}");
    });
}
