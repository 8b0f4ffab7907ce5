//! The control socket can be reached wherever a vassal shares the host's root. Root there, of a user namespace or with all of root's
//! capabilities or some, is not root at the socket, and is not whoever else it makes itself; the vassal's own user is. The same holds for
//! namespaces that are no vassal's.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use liege_integration_tests::apps::USER;
use liege_integration_tests::launch::Launch;
use liege_integration_tests::tools::{PATH, liege, run_liege};
use liege_integration_tests::{Emperor, Host, LONG, SHORT, story, wait_until};

/// Another customer's user, of every Debian.
const NEIGHBOUR: &str = "games";

const VICTIM: &str = "[vassal]\ncommand = sleep 1000\nuid = games\ngid = games\n";

/// What the intruder's hooks were told, one file for each question.
fn intrude(host: &Host, launch: Launch<'_>) {
    let emperor = launch.start();
    emperor.write("victim.ini", VICTIM);
    let victim = emperor.vassal("sleep 1000").init;
    let out = host.open_dir("out");
    let ask = |name: &str, who: &str, words: &str| {
        let (liege, control, out) = (liege().display().to_string(), emperor.control.display(), out.join(name));
        // The name of the file comes to be when everything is in it.
        format!("{who} {liege} {words} --control {control} > {out}.new 2>&1; mv {out}.new {out}", out = out.display())
    };
    let neighbour = format!("setpriv --reuid={NEIGHBOUR} --regid={NEIGHBOUR} --clear-groups");
    let hooks = [
        ("as-root", ask("status", "", "status")),
        ("as-root", ask("stop", "", "stop victim.ini")),
        ("as-root", ask("all", "", "stop --all")),
        ("as-root", ask("events", "", "events")),
        ("as-root", ask("neighbour", &neighbour, "stop victim.ini")),
        ("as-user", ask("own", "", "status")),
        ("as-user", ask("others", "", "stop victim.ini")),
    ];
    let lines: String = hooks.iter().map(|(phase, hook)| format!("exec-{phase} = {hook}\n")).collect();
    emperor.write("intruder.ini", &format!("[vassal]\ncommand = sleep 1001\nuid = {USER}\ngid = {USER}\n{lines}"));
    wait_until("the intruder to have asked", LONG, || out.join("others").exists());
    let told = |name: &str| fs::read_to_string(out.join(name)).unwrap();
    for name in ["status", "stop", "all", "events", "neighbour"] {
        assert!(
            told(name).contains("refused: a process of a vassal may ask as the user its vassal runs as"),
            "{name}: {}",
            told(name)
        );
    }
    // The step under way, which names the victim, is its own.
    let rows: Vec<String> = told("own").lines().map(|row| row.split(' ').next().unwrap_or_default().to_owned()).collect();
    assert_eq!(rows, ["NAME", "intruder.ini"], "{}", told("own"));
    assert!(told("others").contains("victim.ini"), "{}", told("others"));
    assert_eq!(emperor.vassal("sleep 1000").init, victim, "it runs on");
    assert_root_is_root(&emperor);
}

fn assert_root_is_root(emperor: &Emperor) {
    let words = ["status", "--control"].map(OsStr::new);
    let (status, said) = run_liege(&[&words[..], &[emperor.control.as_os_str()]].concat());
    assert!(status == 0 && said.contains("victim.ini"), "{said}");
}

#[test]
fn root_of_a_vassals_user_namespace() {
    story(|host| intrude(host, host.emperor().namespaces(Some("fs,pid,user"))));
}

#[test]
fn root_of_a_vassal_without_one() {
    story(|host| intrude(host, host.emperor()));
}

#[test]
fn root_of_a_vassal_without_any_namespace() {
    story(|host| intrude(host, host.emperor().namespaces(None)));
}

#[test]
fn root_of_a_vassal_with_bounded_capabilities() {
    story(|host| intrude(host, host.emperor().arg("--emperor-cap").arg("setuid,setgid,kill,dac_override,chown")));
}

#[test]
fn root_of_other_namespaces() {
    story(|host| {
        let emperor = host.emperor().start();
        emperor.write("victim.ini", VICTIM);
        wait_until("it to be seen", SHORT, || emperor.vassal_with("sleep 1000").is_some());
        let ask = |wrapper: &[&str]| {
            let mut command = Command::new(wrapper[0]);
            command.args(&wrapper[1..]).arg(liege()).args(["status", "--control"]).arg(&emperor.control);
            let said = command.env_clear().env("PATH", PATH).output().unwrap();
            String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned()
        };
        for wrapper in [&["unshare", "--user", "--map-root-user"][..], &["unshare", "--pid", "--fork"]] {
            assert!(ask(wrapper).contains("root of another user or pid namespace is not root here"), "{}", ask(wrapper));
        }
        // Who made a user namespace is himself in it, whatever number he has there.
        let user = ["setpriv", "--reuid=games", "--regid=games", "--clear-groups"];
        let in_his_own = ask(&[&user[..], &["unshare", "--user", "--map-root-user"]].concat());
        assert!(in_his_own.contains("victim.ini") && ask(&user).contains("victim.ini"), "{in_his_own}");
        // Root that made one can be anybody in it.
        let script = manifest("hostile/anybody.pl");
        let as_anybody = ask(&["perl", script.to_str().unwrap(), "5", "60"]);
        assert!(as_anybody.contains("only who made the namespace may ask from it"), "{as_anybody}");
        assert_root_is_root(&emperor);
    });
}

/// A uid that is not believed is only a word: a process that says eight of them has one share, and takes nobody else's place.
#[test]
fn whatever_uids_it_takes_it_keeps_nobody_out() {
    story(|host| {
        let emperor = host.emperor().namespaces(Some("fs,pid,user")).start();
        emperor.write("victim.ini", VICTIM);
        wait_until("it to be seen", SHORT, || emperor.vassal_with("sleep 1000").is_some());
        let (ready, script) = (host.open_dir("out").join("ready"), manifest("hostile/crowd.pl"));
        let crowd = format!("perl {} {} {}", script.display(), emperor.control.display(), ready.display());
        emperor.write("crowd.ini", &format!("[vassal]\ncommand = {crowd}\nuid = root\n"));
        wait_until("the crowd to be at the door", LONG, || ready.exists());
        let words = ["--reuid=games", "--regid=games", "--clear-groups"].map(OsStr::new);
        for n in 0..30 {
            let mut command = Command::new("setpriv");
            command.args(words).arg(liege()).args(["status", "--control"]).arg(&emperor.control);
            let said = command.env_clear().env("PATH", PATH).output().unwrap();
            let said = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
            assert!(said.contains("victim.ini"), "question {n}: {said}");
        }
    });
}

fn manifest(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
