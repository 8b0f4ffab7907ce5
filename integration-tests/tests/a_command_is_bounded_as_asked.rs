//! `limit-as`, `limit-nproc`, `max-fd`, `prio`, `umask`, `env`, `chdir`: a command gets what a real uwsgi of the same lines has.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use liege_integration_tests::apps::{Reporter, USER};
use liege_integration_tests::tools;
use liege_integration_tests::{LONG, story, wait_for};

const LINES: &str = "limit-as = 700\nlimit-nproc = 300\nmax-fd = 333\nprio = 5\numask = 027\nenv = COLOUR=green\nchdir = /usr\n";

/// What an outsider sees of a process: its limits, its priority, its mask, its directory.
fn bounds(pid: i32) -> BTreeMap<String, String> {
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for limit in ["Max address space", "Max processes", "Max open files"] {
        let line = read("limits").lines().find(|line| line.starts_with(limit)).unwrap_or_default().to_owned();
        seen.insert(limit.into(), line);
    }
    let stat = read("stat");
    let nice = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(16)).unwrap_or_default();
    seen.insert("nice".into(), nice.to_owned());
    let umask = read("status").lines().find(|line| line.starts_with("Umask")).unwrap_or_default().to_owned();
    seen.insert("umask".into(), umask);
    seen.insert("cwd".into(), fs::read_link(format!("/proc/{pid}/cwd")).map(|p| p.display().to_string()).unwrap_or_default());
    seen
}

#[test]
fn it_has_what_a_real_uwsgi_has() {
    story(|host| {
        let file = host.path("real.ini");
        let pidfile = host.open_dir("out").join("pid");
        let text = format!(
            "[uwsgi]\nuid = {USER}\ngid = {USER}\nmaster = true\nsocket = {0}.s\npidfile2 = {0}\n{LINES}",
            pidfile.display()
        );
        fs::write(&file, text).unwrap();
        let mut real = Command::new("uwsgi")
            .arg("--ini")
            .arg(&file)
            .env("PATH", tools::PATH)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let theirs = wait_for("the real uwsgi", LONG, || {
            let pid: i32 = fs::read_to_string(&pidfile).ok()?.trim().parse().ok()?;
            Some(bounds(pid)).filter(|seen| seen["Max open files"].contains("333"))
        });
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(i32::try_from(real.id()).unwrap()), nix::sys::signal::Signal::SIGINT)
            .unwrap();
        real.wait().unwrap();

        let reporter = Reporter::new(host, "app");
        let emperor = host.emperor().start();
        emperor.write("v.ini", &reporter.vassal(&format!("uid = {USER}\ngid = {USER}\n{LINES}unenv = LANG\n")));
        let report = reporter.started(1);
        let vassal = emperor.vassal("reports/app");
        assert_eq!(bounds(vassal.process("report").pid), theirs);
        assert_eq!(
            (&report["environment"]["COLOUR"], &report["environment"]["LANG"]),
            (&"green".into(), &serde_json::Value::Null)
        );

        // Bounds are the app's own: another one takes another app, in the same jail.
        emperor.write("v.ini", &reporter.vassal(&format!("uid = {USER}\ngid = {USER}\n{}", LINES.replace("333", "444"))));
        let again = reporter.started(2);
        assert!(again["limits"].as_str().unwrap().lines().any(|line| line.starts_with("Max open files") && line.contains("444")));
        assert_eq!(emperor.vassal("reports/app").init, vassal.init, "replaced in place");
    });
}

#[test]
fn a_bound_that_cannot_be_set_is_named() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let emperor = host.emperor().start();
        // More than the kernel has for anybody (fs.nr_open).
        emperor.write("v.ini", &reporter.vassal("max-fd = 99999999999\n"));
        let line = emperor.wait_cause(0, "v.ini", "exec_failed");
        assert!(line.contains("v.ini:3: max-fd") && line.contains("EPERM") && line.contains("99999999999"), "{line}");
        assert!(reporter.starts().is_empty());
    });
}

#[test]
fn a_program_that_needs_more_memory_than_it_may_have_ends() {
    story(|host| {
        let emperor = host.emperor().start();
        emperor.write(
            "v.ini",
            "[vassal]\ncommand = /usr/bin/python3 -c 'x = bytearray(500 << 20); input()'\nlimit-as = 200\nuid = root\n",
        );
        emperor.wait_said("v.ini", "app: MemoryError");
        emperor.wait_cause(0, "v.ini", "exit");
    });
}
