//! `liege enter`: a command in all the namespaces of a vassal, its root and groups, with its exit code passed on; a shell on a terminal;
//! and nobody who is inside keeps a vassal alive.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::{fs, thread};

use liege_integration_tests::apps::{Reporter, USER, ZipApp};
use liege_integration_tests::cgroups::hierarchy;
use liege_integration_tests::tools::{PATH, liege, run_liege};
use liege_integration_tests::{Emperor, LONG, SHORT, served, story, wait_for, wait_until};
use nix::mount::{MsFlags, mount};

/// `liege enter NAME FLAGS -- COMMAND`.
fn enter(emperor: &Emperor, name: &str, flags: &[&str], command: &[&str]) -> (i32, String) {
    let mut words: Vec<&OsStr> = ["enter", name, "--control"].map(OsStr::new).to_vec();
    words.push(emperor.control.as_os_str());
    words.extend(flags.iter().map(OsStr::new));
    words.push(OsStr::new("--"));
    words.extend(command.iter().map(OsStr::new));
    run_liege(&words)
}

/// The daemon has heard of its app: from now on it has a user.
fn known(emperor: &Emperor, name: &str) {
    wait_until("the app to be known", LONG, || enter(emperor, name, &[], &["true"]).0 == 0);
}

#[test]
fn a_command_sees_what_the_app_sees() {
    story(|host| {
        let app = ZipApp::new(host, "app", "inside the zip");
        let emperor = host.emperor().start();
        emperor.write("app.ini", &app.checked());
        served(app.port, "inside the zip", LONG);

        // The mount is the user's: only he may enter, here as there.
        let page = app.mount.join("page.txt").display().to_string();
        assert_eq!(enter(&emperor, "app.ini", &[], &["cat", &page]), (0, "inside the zip".into()));
        assert_eq!(enter(&emperor, "app.ini", &[], &["cat", "/proc/1/comm"]), (0, "liege-init\n".into()));
        assert_eq!(enter(&emperor, "app.ini", &[], &["id", "-un"]), (0, format!("{USER}\n")));
        assert_eq!(enter(&emperor, "app.ini", &["--user"], &["id", "-un"]), (0, format!("{USER}\n")), "the same in more words");
        assert_eq!(enter(&emperor, "app.ini", &["--root"], &["id", "-un"]), (0, "root\n".into()));
        let directory = format!("{}\n", emperor.watched.display());
        assert_eq!(enter(&emperor, "app.ini", &[], &["pwd"]), (0, directory), "where the app is");
        assert_eq!(enter(&emperor, "app.ini", &["--root"], &["pwd"]), (0, "/\n".into()), "root goes nowhere an app leads him");

        let init = emperor.vassals()[0].init.clone();
        for kind in ["mnt", "pid"] {
            let theirs = fs::read_link(format!("/proc/{}/ns/{kind}", init.pid)).unwrap().display().to_string();
            assert_eq!(enter(&emperor, "app.ini", &[], &["readlink", &format!("/proc/self/ns/{kind}")]), (0, theirs + "\n"));
        }
    });
}

#[test]
fn exit_codes_are_passed_on() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let emperor = host.emperor().start();
        emperor.write("v.ini", &reporter.vassal(""));
        known(&emperor, "v.ini");
        for (script, code) in [("exit 0", 0), ("exit 7", 7), ("exit 200", 200), ("kill -9 $$", 137), ("kill -TERM $$", 143)] {
            let (status, said) = enter(&emperor, "v.ini", &[], &["sh", "-c", script]);
            assert_eq!(status, code, "{script}: {said}");
        }
        let (status, said) = enter(&emperor, "v.ini", &[], &["no-such-program"]);
        assert!(status == 127 && said.contains("execute no-such-program"), "{said}");
        assert_eq!(enter(&emperor, "v.ini", &[], &["/etc/passwd"]).0, 126);

        assert_eq!(reporter.starts().len(), 1, "nobody minded the visitors");
    });
}

#[test]
fn root_takes_no_word_of_the_app() {
    story(|host| {
        let (user, root) = (Reporter::new(host, "user"), Reporter::new(host, "root"));
        let emperor = host.emperor().start();
        let env = "env = COLOUR=green\nenv = PATH=/tmp/of-the-tenant:/bin\nenv = BASH_ENV=/tmp/x\n";
        emperor.write("user.ini", &user.vassal(&format!("uid = {USER}\ngid = {USER}\n{env}")));
        emperor.write("root.ini", &root.vassal(env));
        for name in ["user.ini", "root.ini"] {
            wait_until("the app to be known", SHORT, || enter(&emperor, name, &["--user"], &["true"]).0 == 0);
        }
        let (_, apps) = enter(&emperor, "user.ini", &["--user"], &["env"]);
        assert!(apps.contains("COLOUR=green\n") && apps.contains("PATH=/tmp/of-the-tenant:/bin\n"), "{apps}");
        // An app may be root only because it executes a setuid program just now.
        for (name, flags) in
            [("user.ini", &["--root"][..]), ("user.ini", &["--clean-env"]), ("root.ini", &["--root"]), ("root.ini", &[])]
        {
            assert_eq!(enter(&emperor, name, flags, &["env"]), (0, format!("PATH={PATH}\n")), "{name} {flags:?}");
        }
    });
}

#[test]
fn an_app_does_not_choose_where_visitors_are() {
    story(|host| {
        let jail = host.open_dir("jail");
        fs::create_dir(jail.join("sub")).unwrap();
        let script = host.path("hide.pl");
        fs::write(&script, "chdir \"$ARGV[0]/sub\" and chroot $ARGV[0] and mkdir '/hidden' or die $!; sleep 1000").unwrap();
        let command = format!("unshare --map-root-user --mount perl {} {}", script.display(), jail.display());
        let emperor = host.emperor().start();
        fs::set_permissions(&jail, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        emperor.write("v.ini", &format!("[vassal]\ncommand = {command}\nuid = {USER}\ngid = {USER}\n"));
        wait_until("the app to hide", LONG, || jail.join("hidden").exists());
        wait_until("the app to be known", SHORT, || !enter(&emperor, "v.ini", &["--user"], &["true"]).1.contains("does not run"));
        let init = emperor.vassals()[0].init.pid;
        for (flags, name) in [(&["--root"][..], "root"), (&[], USER)] {
            for kind in ["mnt", "user"] {
                let theirs = fs::read_link(format!("/proc/{init}/ns/{kind}")).unwrap().display().to_string();
                let seen = enter(&emperor, "v.ini", flags, &["readlink", &format!("/proc/self/ns/{kind}")]);
                assert_eq!(seen, (0, theirs + "\n"), "{flags:?}");
            }
            assert_eq!(enter(&emperor, "v.ini", flags, &["pwd"]), (0, "/\n".into()), "its directory is in another namespace");
            assert_eq!(enter(&emperor, "v.ini", flags, &["id", "-un"]), (0, format!("{name}\n")));
        }
    });
}

/// A program that is setuid root lets a tenant's app be root of this machine. Its visitor is whom the file says.
#[test]
fn an_app_that_has_become_root_makes_no_visitor_root() {
    story(|host| {
        // Where the stories lie setuid may mean nothing.
        let suid = host.open_dir("suid");
        mount(Some("tmpfs"), &suid, Some("tmpfs"), MsFlags::empty(), Some("mode=0755")).unwrap();
        let program = suid.join("becomesroot");
        fs::copy(host.helper("becomesroot"), &program).unwrap();
        fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o4755)).unwrap();
        let said = host.open_dir("said").join("file");
        let lines = format!("uid = {USER}\ngid = {USER}\nenv = COLOUR=green\n");
        let emperor = host.emperor().start();
        emperor.write("v.ini", &format!("[vassal]\ncommand = {} {}\n{lines}", program.display(), said.display()));
        wait_until("the app to be root", SHORT, || said.exists());
        known(&emperor, "v.ini");

        let (status, ids) = enter(&emperor, "v.ini", &[], &["sh", "-c", "id -un; id -gn; id -Gn; pwd; echo $COLOUR."]);
        assert_eq!(status, 0, "{ids}");
        assert!(ids.contains("does not run as the user of its file"), "{ids}");
        assert!(ids.starts_with(&format!("{USER}\n{USER}\n{USER}\n/\n.\n")), "{ids}");
        assert_eq!(enter(&emperor, "v.ini", &["--root"], &["id", "-un"]), (0, "root\n".into()), "asked for");
        emperor.put_to_rest();
        nix::mount::umount(&suid).unwrap();
    });
}

#[test]
fn a_visitor_may_no_more_than_the_vassal() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let emperor = host.emperor().arg("--emperor-cap").arg("setuid,setgid").start();
        emperor.write("v.ini", &reporter.vassal(&format!("uid = {USER}\ngid = {USER}\n")));
        wait_until("the app to be known", SHORT, || enter(&emperor, "v.ini", &["--user"], &["true"]).0 == 0);
        let status = fs::read_to_string(format!("/proc/{}/status", emperor.vassal("reports/app").init.pid)).unwrap();
        let bound = status.lines().find_map(|line| line.strip_prefix("CapBnd:\t")).unwrap();
        let none = "0".repeat(16);
        for (flags, permitted) in [(&["--root"][..], bound), (&[], &none)] {
            let seen = enter(&emperor, "v.ini", flags, &["grep", "-E", "^Cap", "/proc/self/status"]);
            let sets = [("Inh", &*none), ("Prm", permitted), ("Eff", permitted), ("Bnd", bound), ("Amb", &none)];
            assert_eq!(seen, (0, sets.map(|(set, caps)| format!("Cap{set}:\t{caps}\n")).concat()), "{flags:?}");
        }
    });
}

#[test]
fn a_visitor_outlives_the_app() {
    story(|host| {
        let (one, two) = (Reporter::new(host, "one"), Reporter::new(host, "two"));
        let emperor = host.emperor().start();
        emperor.write("v.ini", &one.vassal(""));
        wait_until("the app to be known", SHORT, || enter(&emperor, "v.ini", &["--user"], &["true"]).0 == 0);
        let init = emperor.vassal("reports/one").init;
        let mut visit = Command::new(liege());
        visit.args(["enter", "v.ini", "--control"]).arg(&emperor.control).args(["--", "cat"]);
        let mut visit = visit.env_clear().env("PATH", PATH).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut to, mut from) = (visit.stdin.take().unwrap(), visit.stdout.take().unwrap());
        let mut answer = [0; 6];
        to.write_all(b"inside").and_then(|()| from.read_exact(&mut answer)).expect("a visitor inside");

        emperor.write("v.ini", &two.vassal(""));
        let _report = two.started(1);
        assert_eq!(emperor.vassal("reports/two").init, init, "the same vassal");
        to.write_all(b"still!").and_then(|()| from.read_exact(&mut answer)).expect("a visitor inside");
        drop(to);
        let status = wait_for("the visit to end", SHORT, || visit.try_wait().unwrap());
        assert_eq!((status.code(), &answer), (Some(0), b"still!"));
    });
}

#[test]
fn who_does_not_run_is_not_entered() {
    story(|host| {
        let emperor = host.emperor().start();
        emperor.write("fails.ini", "[vassal]\ncommand = /bin/false\nuid = root\n");
        emperor.write("bad.ini", "[vassal]\ncommand = /bin/true\nuid = nobody-of-this-name\n");
        emperor.wait_cause(0, "fails.ini", "exit");
        let refused = |name: &str, words: [&str; 2]| {
            let (status, said) = wait_for("it to be refused", SHORT, || {
                let answer = enter(&emperor, name, &[], &["true"]);
                words.iter().all(|word| answer.1.contains(word)).then_some(answer)
            });
            assert_eq!(status, 1, "{said}");
        };
        refused("fails.ini", ["does not run: it is waiting", "exited with status 1"]);
        refused("bad.ini", ["does not run", "never usable"]);
        let stop = ["stop", "fails.ini", "--control"].map(OsStr::new);
        assert_eq!(run_liege(&[&stop[..], &[emperor.control.as_os_str()]].concat()).0, 0);
        refused("fails.ini", ["does not run: it is stopped", "ago: the app exited with status 1"]);
        // As in the table: the failure, also where the last end was asked for.
        let flag = host.path("fails");
        emperor.write(
            "waits.ini",
            &format!(
                "[vassal]\ncommand = sh -c 'test -e {0} || {{ touch {0}; exit 7; }}; exec sleep 1000'\nuid = root\n",
                flag.display()
            ),
        );
        emperor.wait_cause(0, "waits.ini", "exit");
        let is_start = |line: &&String| line.contains("waits.ini") && line.contains("started (app");
        wait_until("it to run again", SHORT, || emperor.log().iter().filter(is_start).count() == 2);
        emperor.ask_well(&["stop", "waits.ini"]);
        emperor.wait_cause(0, "waits.ini", "requested");
        refused("waits.ini", ["does not run: it is stopped", "ago: the app exited with status 7"]);
        assert_eq!(enter(&emperor, "nobody.ini", &[], &["true"]).0, 4, "no such vassal");
        assert_eq!(run_liege(&["enter", "v.ini", "--control", "/nonexistent/control.sock"]).0, 3, "no daemon");
    });
}

#[test]
fn groups_and_other_namespaces_are_joined() {
    story(|host| {
        let tree = hierarchy(&host.path("two"), "cgroup2", None);
        let group = format!("story-enter-{}", std::process::id());
        let reporter = Reporter::new(host, "app");
        let emperor = host.emperor().namespaces(Some("fs,pid,uts,user")).start();
        let lines = format!("cgroup = {}\nhook-as-root = hostname:of-the-vassal\n", tree.join(&group).display());
        emperor.write("v.ini", &reporter.vassal(&lines));
        known(&emperor, "v.ini");
        let (_, said) = enter(&emperor, "v.ini", &[], &["cat", "/proc/self/cgroup"]);
        assert!(said.contains(&format!("0::/{group}\n")), "{said}");
        assert_eq!(enter(&emperor, "v.ini", &[], &["uname", "-n"]), (0, "of-the-vassal\n".into()));
        let init = emperor.vassal("reports/app").init.pid;
        let theirs = fs::read_link(format!("/proc/{init}/ns/user")).unwrap().display().to_string();
        assert_eq!(enter(&emperor, "v.ini", &[], &["readlink", "/proc/self/ns/user"]), (0, theirs + "\n"));
        // The visitor's own process stays outside: the group goes with the vassal.
        emperor.remove("v.ini");
        wait_until("the group to go", LONG, || !tree.join(&group).exists());
        emperor.put_to_rest();
        nix::mount::umount(&tree).unwrap();
    });
}

/// A program on a terminal of its own, by script(1).
struct Terminal {
    child: Child,
    shown: Arc<Mutex<String>>,
}

impl Terminal {
    fn enter(emperor: &Emperor, name: &str) -> Self {
        Self::run(emperor, name, "")
    }

    fn run(emperor: &Emperor, name: &str, more: &str) -> Self {
        let line = format!("{} enter {name} --control {} {more}", liege().display(), emperor.control.display());
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        script.env_clear().env("PATH", PATH).env("TERM", "dumb").env("SHELL", "/bin/sh");
        let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script(1) is part of every Debian");
        let shown = Arc::new(Mutex::new(String::new()));
        let (mut out, all) = (child.stdout.take().expect("it is piped"), Arc::clone(&shown));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = out.read(&mut buffer) {
                all.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..read]));
            }
        });
        Self { child, shown }
    }

    fn shown(&self) -> String {
        self.shown.lock().unwrap().clone()
    }

    /// Types, as soon as a prompt stands there, and waits for what that brings.
    fn type_and_see(&mut self, keys: &str, brings: &str) {
        let before = self.shown().len();
        self.child.stdin.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
        let shown = Arc::clone(&self.shown);
        let since = move || shown.lock().unwrap()[before..].to_owned();
        wait_until(&format!("{brings} after {keys:?}: {}", self.shown()), SHORT, || since().contains(brings));
    }

    fn wait(mut self) -> (Option<i32>, String) {
        let status = wait_for("the terminal's program to end", SHORT, || self.child.try_wait().unwrap());
        (status.code(), self.shown())
    }
}

#[test]
fn a_shell_has_its_terminal() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let emperor = host.emperor().start();
        emperor.write("v.ini", &reporter.vassal(""));
        known(&emperor, "v.ini");
        let mut terminal = Terminal::enter(&emperor, "v.ini");
        wait_until("a prompt", SHORT, || terminal.shown().ends_with("# "));
        terminal.type_and_see("tty; cat /proc/1/comm\n", "liege-init");
        assert!(terminal.shown().contains("/dev/pts/"), "{}", terminal.shown());
        // Job control: what runs is stopped by the terminal, and the shell goes on.
        terminal.type_and_see("echo ready; sleep 1000\n", "\nready");
        wait_until("it to sleep", SHORT, || sleeping() == 1);
        terminal.type_and_see("\x1a", "Stopped");
        terminal.type_and_see("kill -KILL %1; wait; echo nobody sleeps\n", "\nnobody sleeps");
        wait_until("it to be gone", SHORT, || sleeping() == 0); // a stopped job is not waited for
        // What the terminal interrupts is the command, not the visit.
        terminal.type_and_see("echo ready; sleep 1000\n", "\nready");
        wait_until("it to sleep", SHORT, || sleeping() == 1);
        terminal.type_and_see("\x03", "# ");
        terminal.child.stdin.as_mut().unwrap().write_all(b"exit 7\n").unwrap();
        let (code, shown) = terminal.wait();
        assert_eq!(code, Some(7), "{shown}");
        assert!(!shown.contains("job control") && !shown.contains("terminal process group"), "{shown}");
        assert_eq!(reporter.starts().len(), 1);
    });
}

#[test]
fn nobody_inside_types_into_the_terminal() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let emperor = host.emperor().start();
        emperor.write("v.ini", &reporter.vassal(&format!("uid = {USER}\ngid = {USER}\n")));
        known(&emperor, "v.ini");
        // A line typed into its own terminal, where the kernel lets it; then what waits in ours to be read.
        let script = host.path("push.pl");
        fs::write(&script, "ioctl(STDIN, 0x5412, my $key = $_) for '#', qq{\n}; print -t STDIN ? 'its own' : 'none'").unwrap();
        let queued = r#"perl -e 'ioctl(STDIN, 0x541B, my $n = pack("i", 0)); print " queued ", unpack("i", $n)'"#;
        for flags in ["--root", ""] {
            let terminal = Terminal::run(&emperor, "v.ini", &format!("{flags} -- perl {}; {queued}", script.display()));
            let (code, shown) = terminal.wait();
            assert!(code == Some(0) && shown.contains("its own") && shown.ends_with(" queued 0"), "{flags}: {shown}");
        }
    });
}

#[test]
fn what_goes_through_pipes_arrives_whole_and_in_order() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let emperor = host.emperor().start();
        emperor.write("v.ini", &reporter.vassal(&format!("uid = {USER}\ngid = {USER}\n")));
        known(&emperor, "v.ini");
        // Both channels are one file: what is written first comes first. What is written at the very end comes too.
        let out = host.path("out");
        let file = File::create(&out).unwrap();
        let mut visit = Command::new(liege());
        let script = "for n in $(seq 1000); do echo $n; echo $n >&2; done; head -c 3000000 /dev/zero | tr '\\0' z";
        visit.args(["enter", "v.ini", "--control"]).arg(&emperor.control).args(["--", "sh", "-c", script]);
        let status = visit.env_clear().env("PATH", PATH).stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        assert!(status.status().unwrap().success());
        let text = fs::read_to_string(&out).unwrap();
        let lines: String = (1..=1000).map(|n| format!("{n}\n{n}\n")).collect();
        assert!(text.starts_with(&lines) && text.len() == lines.len() + 3_000_000, "{} bytes", text.len());

        // A reader that has enough ends the writer, as in any pipeline; and stdin ends where ours does.
        let control = emperor.control.display();
        let piped = format!(
            "{} enter v.ini --control {control} -- yes | head -n 1; echo to be counted | {0} enter v.ini --control {control} -- wc -c",
            liege().display()
        );
        let said = Command::new("sh").args(["-c", &piped]).env_clear().env("PATH", PATH).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&said.stdout), "y\n14\n", "{said:?}");
    });
}

/// How many `sleep 1000` of this story live, in whatever namespace. (One that has ended may wait for its reaper: us.)
fn sleeping() -> usize {
    let all = liege_integration_tests::procs::descendants(i32::try_from(std::process::id()).unwrap());
    all.iter().filter(|process| process.name == "sleep" && process.state != 'Z').count()
}

#[test]
fn a_visitor_dies_with_his_host() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let emperor = host.emperor().start();
        emperor.write("v.ini", &reporter.vassal(""));
        known(&emperor, "v.ini");
        let mut terminal = Terminal::enter(&emperor, "v.ini");
        wait_until("a prompt", SHORT, || terminal.shown().ends_with("# "));
        terminal.type_and_see("echo ready; sleep 1000\n", "\nready");
        wait_until("it to sleep", SHORT, || sleeping() == 1);
        let vassal = emperor.vassal("reports/app");
        let processes = vassal.processes();
        emperor.remove("v.ini");
        wait_until("the vassal to go", LONG, || vassal.is_gone(&processes) && emperor.vassals().is_empty());
        let (code, shown) = terminal.wait();
        assert!(code == Some(137) && shown.contains("v.ini ended, and everything in it"), "{code:?} {shown}");
        assert_eq!(sleeping(), 0);
    });
}

#[test]
fn a_visitor_that_is_stopped_holds_up_no_end() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let emperor = host.emperor().start();
        emperor.write("v.ini", &reporter.vassal(""));
        known(&emperor, "v.ini");
        let mut visit = Command::new(liege());
        visit.args(["enter", "v.ini", "--control"]).arg(&emperor.control).args(["--", "sleep", "1000"]);
        let mut visit = visit.env_clear().env("PATH", PATH).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        wait_until("it to sleep", SHORT, || sleeping() == 1);
        let outside = nix::unistd::Pid::from_raw(i32::try_from(visit.id()).unwrap());
        nix::sys::signal::kill(outside, nix::sys::signal::Signal::SIGSTOP).unwrap();
        let vassal = emperor.vassal("reports/app");
        emperor.remove("v.ini");
        // Its end waits for everybody in it to be reaped, and who made the visitor's process reaps nobody now.
        wait_until("the vassal to go", LONG, || !vassal.init.lives());
        nix::sys::signal::kill(outside, nix::sys::signal::Signal::SIGCONT).unwrap();
        let status = wait_for("the visit to end", SHORT, || visit.try_wait().unwrap());
        assert_eq!(status.code(), Some(137));
    });
}

#[test]
fn without_a_pid_namespace_the_command_ends_with_the_vassal_too() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let emperor = host.emperor().namespaces(Some("fs")).start();
        emperor.write("v.ini", &reporter.vassal(""));
        known(&emperor, "v.ini");
        let mut visit = Command::new(liege());
        visit.args(["enter", "v.ini", "--control"]).arg(&emperor.control).args(["--", "sleep", "1000"]);
        let mut visit = visit.env_clear().env("PATH", PATH).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        wait_until("it to sleep", SHORT, || sleeping() == 1);
        emperor.remove("v.ini");
        let status = wait_for("the visit to end", LONG, || visit.try_wait().unwrap());
        assert_eq!(status.code(), Some(137));
        wait_until("the command to end", SHORT, || sleeping() == 0);
    });
}
