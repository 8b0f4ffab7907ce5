//! Mistakes of a vassal's and an emperor's file: the place, the sentence, the hint.

use liege_spec::testing::TableLookup;
use liege_spec::{Diagnostic, Reading, Severity, Source, VassalConfig, read_emperor, read_vassal};

fn world() -> TableLookup {
    TableLookup::default()
        .with_user("shop", 1001, 1001)
        .with_file("/etc/vassals/extra.ini", "[uwsgi]\nuid = nobodyknows\n")
        .with_file("/etc/vassals/late.ini", "[uwsgi]\n a = <%(what)>\n")
}

fn vassal(text: &str) -> Reading<VassalConfig> {
    let reading = read_vassal(&Source::new("shop.ini", text.as_bytes()), &world());
    assert_eq!(reading.value.is_none(), reading.diagnostics.iter().any(Diagnostic::is_error), "{text}");
    reading
}

fn short(found: &[Diagnostic]) -> Vec<String> {
    let letter = |d: &Diagnostic| if d.severity == Severity::Error { 'E' } else { 'W' };
    found.iter().map(|d| format!("{} {}:{}+{}", letter(d), d.line, d.column, d.width)).collect()
}

/// One line in `[uwsgi]` (line 2 of the file), where it is marked, what is said, what the hint says.
const LINES: &[(&str, &str, &str, &str)] = &[
    ("uid = nobodyknows\ngid = 5", "E 2:7+11", "there is no user \"nobodyknows\"", "useradd"),
    ("\tuid\t= nobodyknows\ngid = 5", "E 2:8+11", "no user", ""),
    ("gid = nogroupatall", "E 2:7+12", "there is no group", "groupadd"),
    ("uid = \"shop\"\ngid = 5", "E 2:7+6", "there is no user", "write uid = shop"),
    ("gid = 'shop'", "E 2:7+6", "there is no group", "write gid = shop"),
    ("add-gid = nope\ngid=5", "E 2:11+4", "there is no group", ""),
    ("uid = shop", "W 2:1+3", "the group stays 0", "add gid = shop"),
    ("hook-as-root = mount:none /a /b bnd", "E 2:33+3", "unknown mount flag \"bnd\"", "did you mean bind?"),
    ("hook-as-root = umount:/x nosuid", "E 2:26+6", "is a flag of mount", ""),
    ("mount-as-root = proc /proc", "E 2:17+10", "needs FS SRC DST", ""),
    ("hook-as-user = exce:ls", "E 2:16+4", "unknown hook verb", "did you mean exec?"),
    ("hook-as-user = ls -l", "E 2:16+5", "VERB:ARGUMENT", "exec:ls -l"),
    ("hook-as-user = call:fork", "E 2:21+4", "C function", "exec:"),
    ("call-as-root = setup", "E 2:16+5", "C function", ""),
    ("hook-as-root = alarm:a b", "W 2:1+12", "does nothing in this phase", ""),
    ("hook-as-root = spinningfifo:/a b", "E 2:16+12", "not supported", "wait_for_file"),
    ("hook-as-root = wait_for_socket:db:80", "E 2:32+5", "in numbers", "not looked up"),
    ("wait-for-socket = db:80", "E 2:19+5", "in numbers", "not looked up"),
    ("mount-as-root = none /a /b rbind", "E 2:28+5", "unknown mount flag", "write bind,rec"),
    ("mount-as-root = none /a /b bind ro", "E 2:33+2", "driver", "behind a comma: bind,ro"),
    ("hook-as-root = mount:none /a /b bind,sync", "E 2:38+4", "whole file system", "itself is mounted"),
    ("mount-as-root = none none / private rec", "E 2:37+3", "private alone mounts none", "private,rec"),
    ("hook-pre-app = nosuchverb:x", "E 2:16+10", "unknown hook verb", "exec:nosuchverb:x"),
    ("hook-post-fork = !exce:ls", "E 2:19+4", "unknown hook verb", "did you mean exec?"),
    ("hook-accepting1-once = rcp:f", "E 2:24+3", "unknown hook verb", "did you mean rpc?"),
    ("hook-emperor-reload = touch-it", "E 2:23+8", "VERB:ARGUMENT", "exec:touch-it"),
    ("hook-post-app = mount:none /a /b bnd", "E 2:34+3", "unknown mount flag", "did you mean bind?"),
    ("hook-master-start = mount:none none / slave", "E 2:39+5", "unknown mount flag \"slave\"", ""),
    ("hook-master-start = umount:/a defaults", "E 2:31+8", "unknown umount flag", ""),
    ("hook-as-mule = mount:none", "E 2:22+4", "needs FS SRC DST", ""),
    ("hook-touch = /run/f exce:ls", "E 2:21+4", "unknown hook verb", "did you mean exec?"),
    ("hook-touch = exec:ls", "E 2:14+7", "FILE VERB:ARGUMENT", ""),
    ("binsh = /bin/bash", "W 2:1+5", "run by /bin/sh here", "exec:/bin/bash -c"),
    ("exec-as-user =", "E 2:13+1", "the command is empty", ""),
    ("pivot_root = /new", "E 2:14+4", "NEW OLD", ""),
    ("mountpoint-check-interval = 0", "E 2:29+1", "more than 0 seconds", ""),
    ("mountpoint-check-timeout = 5s", "E 2:28+2", "no number of seconds", ""),
    ("mountpoint-check = app", "W 2:20+3", "is relative", "whole path"),
    ("mountpoint-check = /app ; the zip", "W 2:25+9", "part of the value", "line above"),
    ("mountpoint-chek = /app", "W 2:1+15", "is no option", "did you mean mountpoint-check?"),
    ("log-date = %Y", "W 2:12+2", "%Y is no magic variable", "%%"),
    ("command = 'a", "E 2:11+2", "never closed", ""),
    ("command =", "E 2:8+1", "empty", ""),
    ("command = a\nunprivileged-binary-patch-arg = b", "E 3:1+29", "one command", "line 2"),
    ("command = a\nstop-signal = TRM", "E 3:15+3", "is no signal", ""),
    ("command = a\numask = 99", "E 3:9+2", "octal", ""),
    ("command = a\nenv = X", "E 3:7+1", "NAME=VALUE", ""),
    ("command = a\nhttp-socket = :80", "W 3:1+11", "goes to uwsgi, but", ""),
    ("command = a\nattach-daemon =", "E 3:14+1", "the command is empty", ""),
    ("command = a\nsmart-attach-daemon = /run/x.pid", "E 3:23+10", "PIDFILE COMMAND", ""),
    ("command = a\nsmart-attach-daemon = x.pid b", "E 3:23+5", "whole path", ""),
    ("command = a\nattach-daemon2 = cmd=b,ns_pid=1", "E 3:24+6", "pid namespace", ""),
    ("command = a\nattach-daemon2 = cmd=b,stopsignl=9", "E 3:24+9", "no key", ""),
    ("command = a\nattach-daemon2 = cmd=b,uid=www", "E 3:24+3", "no number", ""),
    ("command = a\nattach-daemon2 = cmd=b,daemonize=1", "E 3:24+6", "needs pidfile", ""),
    ("command = a\nlegion-attach-daemon = l b", "E 3:1+20", "not supported", "its lord"),
    ("command = a\ncpu-affinity = 1", "E 3:1+12", "not supported", "taskset"),
    ("command = a\nlimit-as = 5G", "E 3:12+2", "is no number", ""),
    ("command = a\nlimit-as = 99999999999999999", "E 3:12+17", "more than there can be", ""),
    ("command = a\nlimit-nproc = -1", "E 3:15+2", "is no number", ""),
    ("command = a\nmax-fd = many", "E 3:10+4", "is no number", ""),
    ("command = a\nprio = 20", "E 3:8+2", "from -20 (first) to 19 (last)", ""),
    ("command = a\ncap = net_bind_service,sys_nicee", "E 3:24+9", "no capability \"sys_nicee\"", "did you mean sys_nice?"),
    ("command = a\ncap = sys_nice, kill", "E 3:16+5", "no capability", "did you mean kill?"),
    ("unshare = uts,nte", "E 2:15+3", "no namespace \"nte\"", "did you mean net?"),
    ("unshare = pid", "E 2:11+3", "would begin with the next process", "emperor-use-clone = fs,pid"),
    ("unshare2 = ipc,user", "E 2:16+4", "unshare2 of user", "emperor-use-clone = fs,pid,user"),
    ("namespace = /ns/001", "E 2:1+9", "second jail", "pivot_root"),
    ("ns-net = x", "E 2:1+6", "second jail", "fs,pid,net"),
    ("setns = /run/ns.sock", "E 2:1+5", "has run its hooks", "nsenter"),
    ("cgroup = vassals/shop", "E 2:10+12", "whole path", "/sys/fs/cgroup"),
    ("cgroup = /c/../d", "E 2:10+7", "whole path", ""),
    ("cgroup = /c\ncgroup-opt = memory.max", "E 3:14+10", "FILE=VALUE", "memory.max=512M"),
    ("cgroup = /c\ncgroup-opt = cgroup.procs=1", "E 3:14+14", "FILE=VALUE", ""),
    ("cgroup = /c\ncgroup-dir-mode = 7", "E 3:19+1", "octal", ""),
    ("cgroup-opt = memory.max=1", "W 2:1+10", "no cgroup of its own", "cgroup = PATH"),
    ("uid = only-in-root\nchroot = /r", "W 2:1+3", "the group stays 0", ""),
    ("command = a\nmyname = b", "E 3:1+6", "is no option of a vassal", ""),
    ("command = a\nmyname = b\nenv = A=%(myname)", "", "", ""),
    ("command = a\nbase = /srv\nif-exists = %(base)/ns\nendif =", "W 4:13+10", "not expanded here", ""),
    ("command = a\nuser = shop", "E 3:1+4", "is no option of a vassal", "write uid = NAME"),
    ("command = a\nWorkingDirectory = /srv", "E 3:1+16", "is no option", "write chdir = DIRECTORY"),
    ("command = a\nenvironment = A=b", "E 3:1+11", "is no option", "write env = NAME=VALUE"),
    ("command = a\nstop-timout = 5", "E 3:1+11", "is no option", "did you mean stop-timeout?"),
    ("command = a\nchdir /srv", "E 3:1+10", "is no option", "write chdir = /srv"),
    ("command = a\nenv-file = secrets", "E 3:12+7", "whole path", ""),
    ("command = a\nenv-file = /no", "E 3:12+3", "cannot read /no: No such file", ""),
    ("in a vassal: exec = a", "E 2:1+4", "is no option", "write command = PROGRAM"),
    ("in a vassal: chdir = /", "E 0:0+1", "[vassal] has no command", "[uwsgi]"),
    ("env-file = /x", "W 2:1+8", "has no effect", ""),
    ("command = a", "", "", ""),
    ("stop-signal = INT", "W 2:1+11", "no effect", ""),
    ("listen = 127.0.0.1:80", "E 2:10+12", "not supported yet", ""),
    ("env = A=@(/missing)", "E 2:9+11", "cannot read /missing", ""),
    ("a = x%(a)", "E 2:5+5", "refers to itself", ""),
    ("socket-name = x\nb = %(socket-nmae)", "W 3:5+14", "nothing is named socket-nmae", "did you mean %(socket-name)?"),
    ("include = nope.ini", "E 2:11+8", "cannot read nope.ini", ""),
    ("include = nope.xml", "E 2:1+7", "ends in .ini", ""),
    ("yaml = nope.yml", "E 2:1+4", "INI form only", ""),
    ("include = extra.ini\ngid=5", "E 2:7+11", "no user", ""),
    ("if-env = HOME\na = b", "W 2:1+6", "never closed", "endif ="),
    ("endif =", "W 2:1+5", "closes nothing", ""),
    (
        "if-not-reload =\nif-env = X\nendif =",
        "E 3:1+6",
        "logic inside logic",
        "close the if-not-reload of line 2 with endif first",
    ),
    ("set-placeholder = x", "E 2:19+1", "NAME=VALUE", ""),
    ("blacklist = uid\nuid = shop", "E 3:1+3", "forbidden here by a blacklist", ""),
    ("strict =\nfoo = bar", "E 3:1+3", "strict", ""),
    ("inherit = late.ini\nwhat = x", "W 2:6+9", "not expanded", "include"),
    ("exec-post-jail = x", "W 2:1+14", "only with jailed or unshare", "jailed = true"),
    ("a = \u{1}\u{e9}", "", "", ""),
];

/// Hooks that uwsgi carries out as they are, whatever liege's own phases say of them.
#[test]
fn what_uwsgi_understands_is_left_to_it() {
    for (phase, action) in [
        ("accepting", "rpc:hello"),
        ("accepting1", "!retryrpc:hello"),
        ("pre-app", "call:PyErr_Clear"),
        ("post-app", "callintret:alarm 0"),
        ("post-fork", "unix_signal:10 f"),
        ("master-start", "spinningfifo:/x y"),
        ("as-mule", "perl:1;"),
        ("emperor-stop", "mount:none /a /b bind,,sync,detach"),
        ("emperor-lost", "umount:/x rec,detach"),
        ("emperor-reload", "mount:tmpfs none /x defaults size=1m"),
        ("touch", "/run/f chown:/x nobodyknows 5"),
    ] {
        assert_eq!(short(&vassal(&format!("[uwsgi]\nhook-{phase} = {action}\n")).diagnostics), [""; 0], "{phase} {action}");
    }
    let command = vassal("[vassal]\nuid = 0\ncommand = a\nhook-post-fork = nosuchverb:x\n").diagnostics;
    assert_eq!(short(&command), ["W 4:1+14"], "it reaches nobody");
}

#[test]
fn one_line_each() {
    for (line, place, message, hint) in LINES {
        let found = match line.strip_prefix("in a vassal: ").or_else(|| Some(*line).filter(|line| line.starts_with("command"))) {
            Some(line) => vassal(&format!("[vassal]\n{line}\nuid = shop\ngid = shop\n")).diagnostics,
            None => vassal(&format!("[uwsgi]\n{line}\n")).diagnostics,
        };
        if place.is_empty() {
            assert_eq!(found, [], "{line}");
            continue;
        }
        let Some(at) = short(&found).iter().position(|short| short == place) else { panic!("{line}: {found:#?}") };
        assert!(found[at].message.contains(message), "{line}: {}", found[at]);
        assert!(found[at].hint.as_deref().unwrap_or_default().contains(hint), "{line}: {}", found[at]);
    }
}

#[test]
fn bytes_that_are_no_text() {
    let reading = read_vassal(&Source::new("shop.ini", b"[uwsgi]\na = \xff\n; \xff\n"), &world());
    assert_eq!(short(&reading.diagnostics), ["E 2:5+1"]);
}

#[test]
fn all_at_once_and_in_order() {
    let text =
        "[uwsgi]\nuid = nobodyknows\ngid = nogroupatall\nhook-as-root = mount:a b c bnd\nexec-as-user =\nstop-timeout = x\n";
    assert_eq!(short(&vassal(text).diagnostics), ["E 2:7+11", "E 3:7+12", "E 4:28+3", "E 5:13+1", "E 6:16+1"]);
}

#[test]
fn what_only_a_reload_meets_is_found_too() {
    let found = vassal("[uwsgi]\nif-reload =\n  exec-as-user =\nendif =\n").diagnostics;
    assert_eq!(short(&found), ["E 3:15+1"]);
}

#[test]
fn sections() {
    for (text, said) in [
        ("[uwsgi] ; the shop\na = b\n", "nothing may follow the bracket"),
        ("[uwsig]\na = b\n", "a section that nothing reads"),
        ("[ uwsgi ]\na = b\n", "with its blanks"),
        ("a = b\n", "stands in no section"),
        ("\u{feff}[uwsgi]\na = b\n", "byte order mark"),
    ] {
        let reading = vassal(text);
        assert!(reading.value.is_none(), "nothing in it is read: {text}");
        assert!(reading.diagnostics.iter().any(|d| d.message.contains(said)), "{text}: {:#?}", reading.diagnostics);
    }
}

#[test]
fn a_byte_order_mark_is_told_once() {
    for text in ["\u{feff}[uwsgi]\na = b\n", "\u{feff}[uwsgi]\nuid = shop\n[uwsgi]\ngid = 5\n"] {
        let found = vassal(text).diagnostics;
        let told: Vec<_> = found.iter().filter(|d| d.message.contains("byte order mark")).map(|d| d.severity).collect();
        let whole = if text.contains("gid") { Severity::Warning } else { Severity::Error };
        assert_eq!(told, [whole], "{found:#?}");
    }
}

#[test]
fn strict_names_the_option_it_refuses() {
    for text in ["[uwsgi]\nstrict = true\nhtpp-socket = :80\n", "[uwsgi]\nhtpp-socket = :80\nstrict = true\n"] {
        let found = vassal(text).diagnostics;
        let errors: Vec<_> = found.iter().filter(|d| d.is_error()).map(|d| (&*d.message, d.hint.as_deref())).collect();
        assert_eq!(errors, [("htpp-socket is no option, and strict is set", Some("did you mean http-socket?"))], "{found:#?}");
    }
}

#[test]
fn a_mistake_as_a_reader_sees_it() {
    let shown = vassal("[uwsgi]\n\tuid = nobodyknows\n").diagnostics[0].to_string();
    let meant = "shop.ini:2:8: error: there is no user \"nobodyknows\" [unknown-user]\n  | \tuid = nobodyknows\n  | \t      ^^^^^^^^^^^\n  = hint: create it";
    assert!(shown.starts_with(meant), "{shown}");
}

#[test]
fn an_at_exit_unmount_is_pointed_out() {
    let text = "[uwsgi]\nif-not-reload =\nexec-as-user = fuse-zip a /app\nendif =\nexec-as-user-atexit = fusermount -u /app\n";
    let reading = vassal(text);
    assert!(reading.value.is_some());
    assert_eq!(short(&reading.diagnostics), ["W 5:1+19"]);
    assert_eq!(vassal(&text.replace("if-not-reload =", "if-env = X").replace("fuse-zip", "x")).diagnostics, []);
}

#[test]
fn an_option_that_strict_does_not_know_is_told_once() {
    let text = "[uwsgi]\nstrict = true\nemperor = /v\nemperor-nosuch = 1\n";
    let found = read_emperor(Some(&Source::new("emperor.ini", text.as_bytes())), &[], &world()).diagnostics;
    assert_eq!(found.iter().filter(|found| found.line == 4).count(), 1, "{found:#?}");
}

#[test]
fn the_emperor() {
    let whole = ["emperor = /etc/vassals"];
    for (lines, place, message, hint) in [
        (&["emperor-use-clone = fs,pdi"][..], "E 3:24+3", "no namespace \"pdi\"", "did you mean pid?"),
        (&["emperor-use-clone = fs,files"], "E 3:24+5", "share its table of open files", ""),
        (&["emperor-use-clone = fs, pid"], "E 3:24+4", "no namespace", "did you mean pid?"),
        (&["emperor-tyrant = true"], "E 3:1+14", "not supported yet", ""),
        (&["emperor-cap = sys_admn"], "E 3:15+8", "no capability", "did you mean sys_admin?"),
        (&["emperor-cap = setuid,setgid"], "W 3:1+11", "nor fusermount", "add sys_admin"),
        (&["emperor-cap = sys_admin"], "W 3:1+11", "drop to its uid", "setuid,setgid"),
        (&["cgroup = /x"], "E 3:1+6", "belongs into a vassal's file", ""),
        (&["emperor-stats = :1"], "E 3:1+13", "not supported yet", ""),
        (&["emperor-frq = 1"], "E 3:1+11", "no option of an emperor", "did you mean emperor-freq?"),
        (&["emperor-freq = 0"], "E 3:16+1", "more than 0", ""),
        (&["emperor-death = survive"], "E 3:17+7", "not supported yet", ""),
        (&["emperor = pg://x;y"], "E 3:11+8", "not supported yet", ""),
        (&["emperor-max-starts = 0"], "E 3:22+1", "at least 1", ""),
        (&["emperor-metrics = localhost:9153"], "E 3:19+14", "no address and port in numbers", ""),
        (&["emperor-metrics-host = http://liege.example.com/"], "E 3:24+25", "neither scheme nor path", "one name a line"),
        (&["emperor-metrics-host = a.example, b.example"], "E 3:24+20", "no host name", "one name a line"),
        (&["emperor-metrics-host = *.example.com"], "E 3:24+13", "no patterns", "one name a line"),
        (&["emperor-metrics-host = [::1]"], "E 3:24+5", "no host name", ""),
        (&["emperor-metrics-host = a.example", "emperor-metrics-host = -b"], "E 4:24+2", "no host name", ""),
        (&["emperor-metrics-hots = x"], "E 3:1+20", "no option of an emperor", "did you mean emperor-metrics-host?"),
        (&["emperor-metrcs = :9153"], "E 3:1+14", "no option of an emperor", "did you mean emperor-metrics?"),
        (&["vassal-set = x"], "E 3:14+1", "KEY=VALUE", ""),
        (&["uid = shop"], "E 3:1+3", "drops its own rights", "vassal"),
        (&["daemonize = /x"], "E 3:1+9", "foreground", "systemd"),
        (&["mountpoint-check = /x"], "E 3:1+16", "belongs into a vassal's file", ""),
        (&["hook-as-emperor = exec:x"], "E 3:1+15", "not supported yet", ""),
        (&["hook-as-vassal = exce:x"], "E 3:18+4", "unknown hook verb", "exec"),
        (&["call-as-vassal = x"], "E 3:18+1", "C function", ""),
        (&["master = true"], "W 3:1+6", "means nothing", ""),
        (&["vassals-include = x.ini"], "E 3:1+15", "not supported yet", ""),
    ] {
        let text = format!("[uwsgi]\n{}\n{}\n", whole[0], lines.join("\n"));
        let reading = read_emperor(Some(&Source::new("emperor.ini", text.as_bytes())), &[], &world());
        let found = reading.diagnostics;
        assert_eq!(short(&found), [place], "{text}{found:#?}");
        assert!(found[0].message.contains(message), "{}", found[0]);
        assert!(found[0].hint.as_deref().unwrap_or_default().contains(hint), "{}", found[0]);
    }
}

#[test]
fn flags_are_named_as_flags() {
    let flags = [("emperor".to_owned(), "/x".to_owned()), ("emperor-freq".to_owned(), "soon".to_owned())];
    let reading = read_emperor(None, &flags, &world());
    assert_eq!(
        reading.diagnostics[0].to_string(),
        "command line: error: --emperor-freq: \"soon\" is no number of seconds [bad-value]"
    );
    let none = read_emperor(None, &[], &world());
    assert!(none.value.is_none() && none.diagnostics[0].message.contains("names no vassals"));
}

#[test]
fn flags_count_after_the_file() {
    let text = b"[liege]\nemperor = /a\nemperor-freq = 5\nemperor-use-clone = fs\n";
    let flags = [("emperor-freq", "1.5"), ("emperor", "glob:///b/*.ini"), ("emperor-use-clone", "pid")];
    let flags = flags.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let spec = read_emperor(Some(&Source::new("e.ini", text)), &flags, &world()).value.unwrap();
    assert_eq!(spec.freq.as_millis(), 1500);
    assert_eq!(spec.monitors.iter().map(|m| m.value.as_str()).collect::<Vec<_>>(), ["/a", "/b/*.ini"]);
    assert!(spec.namespaces.mount && spec.namespaces.pid);
}

#[test]
fn a_vassal_says_as_whom_it_runs() {
    let found = vassal("[vassal]\ncommand = a\n").diagnostics;
    assert_eq!(short(&found), ["E 0:0+1"]);
    assert!(found[0].hint.as_deref().is_some_and(|hint| hint.contains("uid = root")), "{}", found[0]);
    assert_eq!(short(&vassal("[vassal]\ncommand = a\nuid = 0\n").diagnostics), [""; 0]);
}

#[test]
fn other_forms_are_never_read_as_ini() {
    for (name, text) in [
        ("a.json", "{\"uwsgi\": {\"uid\": 5}}"),
        ("a.ini", "  {\"uwsgi\": {}}"),
        ("a.yml", "uwsgi:\n  uid: 5\n"),
        ("a.xml", "<uwsgi><uid>5</uid></uwsgi>"),
        ("a.ini", "---\nuwsgi:\n"),
    ] {
        let source = Source::new(name, text.as_bytes());
        for found in [read_vassal(&source, &world()).diagnostics, read_emperor(Some(&source), &[], &world()).diagnostics] {
            assert_eq!(short(&found), ["E 0:0+1"], "{name}");
            assert!(found[0].message.contains("INI form only") && found[0].hint.is_some(), "{}", found[0]);
        }
    }
}

#[test]
fn a_file_in_which_nothing_is_read_is_no_vassal() {
    for (text, place, message, hint) in [
        ("", "E 0:0+1", "is empty", "[vassal]"),
        ("# soon\n\n", "E 0:0+1", "is empty", "[vassal]"),
        ("[uwsgi]\n", "E 1:1+7", "has no option", "[vassal]"),
        ("[program:x]\ncommand = sleep 1\n", "E 1:1+11", "a section that nothing reads", "[vassal]"),
        ("[uwgsi]\nmaster = true\n", "E 1:1+7", "a section that nothing reads", "did you mean [uwsgi]?"),
        ("[emperor]\nowner = me\n", "E 1:1+9", "has no option of a vassal", "[vassal]"),
        ("\ncommand = sleep 1\n", "E 2:1+7", "stands in no section", "[vassal]"),
        ("uwsgi:\n  master: true\n", "E 1:1+6", "stands in no section", "looks like YAML"),
    ] {
        let found = vassal(text).diagnostics;
        let errors: Vec<_> = found.into_iter().filter(Diagnostic::is_error).collect();
        assert_eq!(short(&errors), [place], "{text:?}: {errors:?}");
        assert!(errors[0].message.contains(message), "{text:?}: {errors:?}");
        assert!(errors[0].hint.as_ref().is_some_and(|said| said.contains(hint)), "{text:?}: {errors:?}");
    }
    let set = [("command".to_owned(), "x".to_owned())];
    let source = Source { set: &set, ..Source::new("shop.ini", b"") };
    assert!(read_vassal(&source, &world()).value.is_some(), "vassal-set says what it is, as in uWSGI");
}
