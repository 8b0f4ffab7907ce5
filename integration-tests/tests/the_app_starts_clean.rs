//! Whatever state the daemon was started in, the app sees what an app expects: no mask, no ignored signal, no stray descriptor, its
//! user's groups, the umask, and the limits the daemon itself was started with.

use std::fs;

use liege_integration_tests::apps::USER;
use liege_integration_tests::{LONG, story, wait_for};

/// A daemon started under odd circumstances: signals ignored and blocked, a low soft limit, an oom score, a stray descriptor.
const ODD: &[&str] = &[
    "env",
    "--ignore-signal=HUP",
    "--ignore-signal=USR1",
    "--ignore-signal=PIPE",
    "--block-signal=USR2",
    "--block-signal=TERM",
    "prlimit",
    "--nofile=777:4000",
    "choom",
    "-n",
    "123",
    "--",
    "sh",
    "-c",
    "umask 077; exec 7</etc/passwd; exec \"$0\" \"$@\"",
];

const OF_THE_UNIT: [&str; 4] = ["CREDENTIALS_DIRECTORY", "INVOCATION_ID", "MEMORY_PRESSURE_WATCH", "SYSTEMD_EXEC_PID"];

#[test]
fn the_app_starts_clean() {
    story(|host| {
        let (script, out) = (host.path("looks.sh"), host.open_dir("out").join("seen"));
        // Plain cat and ls: a language's runtime would have changed things by now.
        let looks =
            "cat /proc/self/status; cat /proc/self/limits; umask; cat /proc/self/oom_score_adj; ls -l /proc/$$/fd; pwd; env";
        fs::write(&script, format!("exec > {} 2>&1\n{looks}; echo END\nexec sleep 1000\n", out.display())).unwrap();
        let emperor = host
            .emperor()
            .under(ODD)
            .env("UWSGI_VASSAL_COLOUR", "green")
            .env("UWSGI_RELOADS", "3")
            .env("NOTIFY_SOCKET", "/nowhere");
        let emperor = OF_THE_UNIT.iter().fold(emperor, |emperor, name| emperor.env(name, "of the unit")).start();
        emperor.write(
            "v.ini",
            &format!("[vassal]\nuid = {USER}\ngid = {USER}\ninherit-env = true\ncommand = /bin/sh {}\n", script.display()),
        );
        let seen = wait_for("its report", LONG, || fs::read_to_string(&out).ok().filter(|text| text.ends_with("END\n")));
        let field = |name: &str| {
            seen.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name} in\n{seen}")).trim()
        };

        for mask in ["SigBlk:", "SigIgn:", "SigPnd:"] {
            assert_eq!(field(mask), "0000000000000000", "{mask}");
        }
        let (uid, gid) = liege_integration_tests::apps::user();
        assert_eq!(field("Uid:"), vec![uid.to_string(); 4].join("\t"));
        assert_eq!(field("Gid:"), vec![gid.to_string(); 4].join("\t"));
        assert_eq!(field("Groups:"), gid.to_string(), "its user's groups, not root's");
        assert_eq!(field("CapEff:"), "0000000000000000");
        let files: Vec<&str> = field("Max open files").split_whitespace().collect();
        assert_eq!(files[..2], ["777", "4000"], "the limits the daemon was started with");
        let tail = &seen[seen.find("Max realtime timeout").expect("limits")..];
        let mut lines = tail.lines().skip(1);
        assert_eq!(lines.next(), Some("0077"), "the umask the daemon was started with");
        assert_eq!(lines.next(), Some("123"), "the oom score the daemon was started with");
        let fds: Vec<&str> = tail.lines().filter(|line| line.contains(" -> ")).collect();
        // The script's own file stands behind one number of the shell's choosing.
        let strays: Vec<&&str> = fds.iter().filter(|line| !line.contains("looks.sh") && !line.contains("/dev/null")).collect();
        assert!(strays.iter().all(|l| l.contains(" 0 -> ") || l.contains(" 1 -> ") || l.contains(" 2 -> ")), "{fds:#?}");
        assert!(seen.contains("\nUWSGI_COLOUR=green\n"), "UWSGI_VASSAL_X becomes UWSGI_X:\n{seen}");
        assert!(!seen.contains("UWSGI_RELOADS=") && !seen.contains("NOTIFY_SOCKET="), "{seen}");
        assert!(!seen.contains("of the unit"), "what systemd means for the daemon alone:\n{seen}");
        assert!(seen.contains(&format!("\n{}\n", emperor.watched.display())), "it starts in the directory of its file:\n{seen}");
    });
}
