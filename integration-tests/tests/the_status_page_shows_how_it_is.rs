//! The status page in a real browser: who runs, who is down, which mounts answer, who died lately and why, live.
//!
//! `PICTURES` (a directory): where the screenshots are kept, to be looked at.

use std::path::PathBuf;

use liege_integration_tests::apps::ZipApp;
use liege_integration_tests::browser::{Browser, Look};
use liege_integration_tests::http::free_port;
use liege_integration_tests::scrape::{ANY_PORT, Listener};
use liege_integration_tests::{LONG, served, story};
use nix::sys::signal::Signal;

/// A name that would be markup.
const ODD: &str = "<b>odd & \"quoted\".ini";

#[test]
fn the_status_page_shows_how_it_is() {
    story(|host| {
        let app = ZipApp::new(host, "app", "text");
        let emperor = host.emperor().arg("--emperor-metrics").arg(ANY_PORT).start();
        let daemon = Listener::of(&emperor);
        emperor.write("shop.ini", &app.checked());
        emperor.write("worker.ini", "[vassal]\ncommand = /bin/sleep 1000\nuid = root\n");
        emperor.write(ODD, "[vassal]\ncommand = /bin/sleep 1000\nuid = root\n");
        emperor.write("fails.ini", "[vassal]\nexec-as-root = /bin/false s3cret\ncommand = /bin/sleep 1000\nuid = root\n");
        emperor.write("never.ini", "[vassal]\ncommand = /bin/sleep 1000\nuid = s3cret\n");
        let uwsgi = format!("[uwsgi]\nuid = root\nhttp-socket = 127.0.0.1:{}\nplugin = s3cret\n", free_port());
        emperor.write("doubtful.ini", &uwsgi);
        // One whose mount hangs, and is left alone for long.
        let hangs = ZipApp::new(host, "archive", "text");
        emperor.write(
            "hangs.ini",
            &format!("{}mountpoint-check-timeout = 0.2\nmountpoint-check-tolerance = 1000\n", hangs.checked()),
        );
        served(hangs.port, "text", LONG);
        emperor.vassal("hangs.ini").process("fuse-zip").kill(Signal::SIGSTOP);
        let hung = format!(r#"liege_mountpoint_up{{vassal="hangs.ini",mountpoint="{}",state="hung"}}"#, hangs.mount.display());
        daemon.wait_value(&hung, LONG, |up| up == 0.0);
        served(app.port, "text", LONG);
        emperor.vassal("shop.ini").process("fuse-zip").kill(Signal::SIGKILL);
        daemon.wait_value(r#"liege_vassal_doubt{vassal="doubtful.ini"}"#, LONG, |doubt| doubt == 1.0);
        daemon.wait_value("liege_recovery_duration_seconds_count", LONG, |recovered| recovered == 1.0);
        served(app.port, "text", LONG);
        // The browser first: from its fourth failure on fails.ini waits longer than a page takes.
        let mut browser = Browser::start(host);
        daemon.wait_value(r#"liege_vassal_failures{vassal="fails.ini"}"#, LONG, |failures| failures >= 4.0);
        daemon.wait_value(r#"liege_vassal_phase{vassal="fails.ini",phase="waiting"}"#, LONG, |waits| waits == 1.0);
        // One that has just come back stands among those that fail until it has settled.
        daemon.wait_value(r#"liege_vassal_failures{vassal="shop.ini"}"#, LONG, |failures| failures == 0.0);
        let address = format!("http://127.0.0.1:{}/", daemon.port);
        browser.open(&address, Look::Light);
        // More checks than one: what was before the page was opened, or what came since.
        let two = "(document.querySelector('polyline')?.getAttribute('points') || '').split(' ').length > 1";
        browser.wait("a line of checks", two);
        let text = browser.text();
        assert!(text.contains("live · 127.0.0.1:"), "{text}");
        let mount = app.mount.display().to_string();
        for shown in [
            "5 of 7", // up
            "down 2",
            "shop.ini",
            "worker.ini",
            ODD,
            "running",
            "waiting",
            "failures in a row",
            "again in",
            "healthy",
            "hung",
            "doubtful 1",
            "it may serve nothing; liege status says why",
            "unhealthy mounts 1 of 2",
            "mountpoint_dead",
            "ENOTCONN",
            "hook_failed",
            "the log says which",
            "Files with mistakes never.ini",
            &mount,
        ] {
            assert!(text.contains(shown), "no {shown:?} in: {text}");
        }
        let whole = browser.evaluate("document.documentElement.outerHTML").to_string();
        assert!(!whole.contains("s3cret"), "what a file may want hidden: {text}");
        let first = ["fails.ini", "hangs.ini", "shop.ini"].map(|name| text.find(name));
        assert!(first.is_sorted(), "those who need eyes come first: {text}");
        let wide = browser.evaluate("document.querySelectorAll('b, img, script:not([src])').length");
        assert_eq!(wide, 0, "a name is a text");

        let kept = std::env::var_os("PICTURES").map_or_else(|| host.path("pictures"), PathBuf::from);
        std::fs::create_dir_all(&kept).unwrap();
        let mut papers = Vec::new();
        for look in Look::ALL {
            browser.open(&address, look);
            browser.wait("a line of checks", two);
            let file = kept.join(format!("{look:?}.png"));
            browser.picture(&file);
            assert_eq!(size(&std::fs::read(file).unwrap()), look.size());
            // Nothing sticks out at the side.
            assert_eq!(browser.evaluate("document.documentElement.scrollWidth > innerWidth"), false, "{look:?}");
            // Nor is a name squeezed by what stands beside it.
            let narrowest = "Math.min(...[...document.querySelectorAll('.row .name')].map((name) => name.clientWidth)) > 80";
            assert_eq!(browser.evaluate(narrowest), true, "{look:?}");
            papers.push(browser.evaluate("getComputedStyle(document.body).backgroundColor"));
        }
        assert!(papers[0] != papers[1] && papers[0] == papers[2], "light, dark, light: {papers:?}");
    });
}

/// Width and height, from the header of a PNG.
fn size(picture: &[u8]) -> (u32, u32) {
    let side = |at: usize| u32::from_be_bytes(picture[at..at + 4].try_into().expect("four bytes"));
    (side(16), side(20))
}

#[test]
fn a_page_is_told_what_happens_while_it_is_open() {
    story(|host| {
        let emperor = host.emperor().arg("--emperor-metrics").arg(ANY_PORT).start();
        let daemon = Listener::of(&emperor);
        emperor.write("first.ini", "[vassal]\ncommand = /bin/sleep 1000\nuid = root\n");
        let mut browser = Browser::start(host);
        browser.open(&format!("http://127.0.0.1:{}/", daemon.port), Look::Phone);
        browser.wait("the first one", "document.body.innerText.includes('first.ini')");
        browser.evaluate("window.sameDocument = true");
        emperor.write("second.ini", "[vassal]\ncommand = /bin/sleep 1000\nuid = root\n");
        browser.wait("the second one", "document.body.innerText.includes('second.ini')");
        emperor.remove("first.ini");
        browser.wait("the first one to have ended", "document.body.innerText.includes('its file is gone')");
        assert_eq!(browser.evaluate("window.sameDocument"), true, "the page was not loaded again");
        emperor.remove("second.ini");
        emperor.signal(Signal::SIGTERM);
        browser.wait("the end of the daemon to be told", "document.querySelector('.lost') !== null");
        assert_eq!(emperor.wait_exit(LONG).code(), Some(0));
    });
}
