//! What a vassal's file means, part by part.

use std::time::Duration;

use liege_spec::testing::TableLookup;
use liege_spec::{
    Account, AttachedDaemon, HookPhase, LogRules, LogTo, Namespaces, ProcessLimits, ProgramSpec, Source, VassalSpec, Verb,
    read_vassal,
};

fn world() -> TableLookup {
    let mut world = TableLookup::default().with_user("shop", 1001, 1002).with_env("ZIP", "/z.zip");
    world.supplementary.insert("shop".into(), vec![1002, 44]);
    world.with_file("/etc/vassals/common.ini", "[uwsgi]\nexec-as-user = %(what)\nmaster = true\n[other]\nx = y\n")
}

fn spec(text: &str) -> VassalSpec {
    let section = if text.starts_with("command") { "vassal" } else { "uwsgi" };
    // A vassal needs one; behind the lines, so that theirs stay where they are.
    let uid = if section == "uwsgi" || text.contains("\nuid") { "" } else { "\nuid = 0" };
    let text = format!("[{section}]\n{text}{uid}");
    let reading = read_vassal(&Source::new("/etc/vassals/shop.ini", text.as_bytes()), &world());
    reading.value.unwrap_or_else(|| panic!("{:#?}", reading.diagnostics)).fresh
}

fn given(text: &str) -> Vec<String> {
    match spec(text).app.program {
        ProgramSpec::Uwsgi { options, .. } => options.into_iter().map(|(key, value)| format!("{key}={value}")).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn hooks_come_phase_by_phase_and_family_by_family() {
    let text = "exec-as-user = u2\nhook-as-user = !exec:u1\nexec-asap = a2\nhook-as-root = print:r1\nmount-as-root = proc none /proc\n\
                umount-as-root = /x\nexec-as-root = r4\nhook-asap = print:a1\nhook-pre-app = exec:theirs\nexec-as-user = u3\n";
    let hooks = spec(text).jail.hooks;
    let shown: Vec<String> = hooks
        .iter()
        .map(|hook| match &hook.verb.value {
            Verb::Exec(line) | Verb::Print(line) => line.clone(),
            Verb::Mount { .. } => "mount".into(),
            _ => "umount".into(),
        })
        .collect();
    assert_eq!(shown, ["a1", "a2", "r1", "mount", "umount", "r4", "u1", "u2", "u3"]);
    assert!(hooks[6].hidden && hooks[6].phase == HookPhase::AsUser && !hooks[7].hidden);
    assert_eq!(given(text), ["hook-pre-app=exec:theirs"]);
}

#[test]
fn the_output_has_a_place_and_bounds() {
    let default = spec("a = b");
    assert_eq!((default.jail.log_to, default.log), (LogTo::File, LogRules { size: 8 << 20, keep: 3, rate: 1 << 20 }));
    let own = spec("vassal-log = journald\nvassal-log-size = 64k\nvassal-log-keep = 0\nvassal-log-rate = 0");
    assert_eq!((own.jail.log_to, own.log), (LogTo::Journal, LogRules { size: 64 << 10, keep: 0, rate: 0 }));
    assert_eq!(spec("vassal-log = inherit").jail.log_to, LogTo::Inherit);
    assert_eq!(given("vassal-log = file\nlogto = /x"), ["logto=/x"], "uwsgi's own log is uwsgi's");
}

#[test]
fn identities() {
    for (text, uid, gid, groups) in [
        ("uid = shop\ngid = shop", 1001, 1002, &[44, 1002][..]),
        ("uid = 1001\ngid = 1002", 1001, 1002, &[44, 1002]),
        ("uid = shop\ngid = 7", 1001, 7, &[7, 44, 1002]),
        ("uid = shop\ngid = shop\nno-initgroups", 1001, 1002, &[]),
        ("uid = shop\ngid = shop\nno-initgroups = off", 1001, 1002, &[44, 1002]),
        ("uid = shop\ngid = shop\nadd-gid = 9\nadd-gid = shop", 1001, 1002, &[9, 1002]),
        ("gid = 5", 0, 5, &[]),
        ("uid = 1\nuid = shop\ngid = shop", 1001, 1002, &[44, 1002]),
    ] {
        let identity = spec(text).jail.identity.expect("an identity").value;
        assert_eq!((identity.uid, identity.gid, &identity.groups[..]), (uid, gid, groups), "{text}");
    }
    assert_eq!(spec("a = b").jail.identity, None);
}

#[test]
fn where_the_root_changes_names_wait_for_it() {
    for root in ["chroot = /r\n", "pivot_root = /r /r/old\n", "if-not-reload =\nchroot = /r\nendif =\n"] {
        let text = format!("[uwsgi]\n{root}uid = only-there\ngid = 44\nadd-gid = web\n");
        let config = read_vassal(&Source::new("shop.ini", text.as_bytes()), &world()).value.expect("no host is asked");
        for spec in [&config.fresh, &config.again] {
            let names = &spec.jail.names.as_ref().expect("names").value;
            assert_eq!(names.user, Account::Name("only-there".into()), "{root}");
            assert_eq!((&names.group, names.initgroups), (&Account::Number(44), false));
            assert_eq!(names.more, [Account::Name("web".into())]);
            assert!(spec.jail.identity.is_none() && spec.jail.drops());
        }
    }
    // `root` is 0 in every root: there is nothing to ask for.
    let names =
        spec("chroot = /r\nuid = root\ngid = root\nadd-gid = root\n").jail.names.expect("they have groups there too").value;
    assert_eq!((names.user, names.group, names.more), (Account::Number(0), Account::Number(0), vec![Account::Number(0)]));
    let names = spec("chroot = /r\nuid = 1001\ngid = 1002\n").jail.names.expect("a number has groups there too").value;
    assert_eq!((names.user, names.group, names.initgroups), (Account::Number(1001), Account::Number(1002), true));
}

#[test]
fn a_file_is_given_to_whom_the_root_knows_that_the_hook_runs_in() {
    let text = "[uwsgi]\nhook-asap = chown:/x shop shop\nif-not-reload =\nhook-in-jail = chown:/x shop 7\nchroot = /r\nendif =\n\
                hook-as-root = chown:/x only-there web\nhook-as-user-atexit = chown:/x only-there 7\n";
    let config = read_vassal(&Source::new("shop.ini", text.as_bytes()), &world()).value.expect("no host is asked");
    let owners = |spec: &VassalSpec| -> Vec<(Account, Account)> {
        let owner = |verb: &Verb| if let Verb::Chown(_, user, group) = verb { Some((user.clone(), group.clone())) } else { None };
        spec.jail.hooks.iter().filter_map(|hook| owner(&hook.verb.value)).collect()
    };
    let (number, name) = (Account::Number, |name: &str| Account::Name(name.into()));
    let inside = [(name("only-there"), name("web")), (name("only-there"), number(7))];
    let before = [(number(1001), number(1002)), (number(1001), number(7))];
    assert_eq!(owners(&config.fresh), [&before[..], &inside[..]].concat());
    let again = [(name("shop"), name("shop"))];
    assert_eq!(owners(&config.again), [&again[..], &inside[..]].concat(), "a reload begins in there");
    let host = read_vassal(&Source::new("shop.ini", b"[uwsgi]\nhook-as-root = chown:/x only-there 7\n"), &world());
    assert_eq!(host.diagnostics[0].code, liege_spec::Code::UnknownUser, "in the host's root the host knows");
}

#[test]
fn a_command_is_bounded_by_liege_and_a_uwsgi_by_itself() {
    let lines = "limit-as = 512\nlimit-nproc = 0\nmax-fd = 77\nprio = -3\ncap = net_raw\ncap = net_bind_service,5\n";
    let command = spec(&format!("command = a\n{lines}"));
    let limits = &command.app.limits;
    assert_eq!(limits.address_space.as_ref().map(|asked| asked.value), Some(512 << 20));
    assert_eq!((limits.processes.is_none(), limits.files.as_ref().map(|asked| asked.value)), (true, Some(77)));
    assert_eq!(limits.nice.as_ref().map(|asked| asked.value), Some(-3));
    assert_eq!(command.jail.caps.unwrap().value, 1 << 10 | 1 << 5, "the last line counts, as in uWSGI");
    let uwsgi = spec(lines);
    assert_eq!((uwsgi.app.limits, uwsgi.jail.caps), (ProcessLimits::default(), None));
    assert_eq!(given(lines).len(), 6);
}

#[test]
fn cgroups_and_namespaces_are_lieges_in_every_vassal() {
    let text = "cgroup = /c/a/\ncgroup = /c/b\ncgroup-opt = memory.max=1M\ncgroup-opt = a:b=c\nunshare = uts,ipc\nunshare = net\njailed\n";
    let jail = spec(text).jail;
    assert_eq!(jail.cgroups.paths.iter().map(|path| path.value.as_str()).collect::<Vec<_>>(), ["/c/a", "/c/b"]);
    let options: Vec<_> = jail.cgroups.options.iter().map(|o| (o.value.0.as_str(), o.value.1.as_str())).collect();
    assert_eq!((jail.cgroups.mode, options), (0o700, vec![("memory.max", "1M"), ("a:b", "c")]));
    let unshare = jail.unshare.unwrap();
    assert!(unshare.value == Namespaces { uts: true, ipc: true, net: true, ..Namespaces::default() } && unshare.at.line == 7);
    assert!(jail.jailed && jail.unshare2.is_none());
    assert_eq!(given(text), [""; 0]);
}

#[test]
fn uwsgi_is_given_what_liege_does_not_do() {
    let text = "uid = shop\ngid = shop\nbinary-path = /opt/uwsgi\nchroot = /r\npivot_root = /a /b\nwait-for-fs = /x\nhook-timeout = 5\n\
                for = 1 2\nworker-opt = w%(_)\nendfor =\nset = processes=3\nset-placeholder = what=x y\nvassal-proc = no\nlisten = 128\n\
                limit-as = 512\nattach-daemon = %(what)\ncheck-mount = /app\nplugins-dir = %(what)\ninclude = common.ini\n";
    let spec = spec(text);
    let ProgramSpec::Uwsgi { binary, options } = &spec.app.program else { panic!("not uwsgi") };
    let options: Vec<String> = options.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(binary, "/opt/uwsgi");
    assert_eq!(
        options,
        [
            "uid=shop",
            "gid=shop",
            "worker-opt=w1",
            "worker-opt=w2",
            "processes=3",
            "set-placeholder=what=x y",
            "listen=128",
            "limit-as=512",
            "attach-daemon=x y",
            "plugins-dir=%(what)",
            "master=true",
        ]
    );
    assert_eq!(spec.jail.hooks[0].verb.value, Verb::Exec("x y".into()));
    assert_eq!((spec.jail.hooks[0].verb.at.file.as_str(), spec.jail.hooks[0].verb.at.line), ("common.ini", 2));
    assert!(!spec.jail.fresh_proc);
    assert_eq!(spec.jail.chroot.unwrap().value, "/r");
    assert_eq!(spec.jail.wait_for[0].value, Verb::WaitForFs("/x".into()));
    assert_eq!(spec.timeouts.hook, Duration::from_secs(5));
}

#[test]
fn a_command_takes_its_own_options() {
    let spec = spec(
        "command = python3 -m 'http server' \"9\"\nchdir = /srv\nenv = A=b=c\nunenv = LANG\numask = 027\nno-new-privs\nstop-signal = INT\n\
         reload-signal = sighup\nstop-timeout = 0.5\n",
    );
    assert!(matches!(&spec.app.program, ProgramSpec::Command(words) if words.value == ["python3", "-m", "http server", "9"]));
    assert_eq!(spec.app.chdir.unwrap().value, "/srv");
    assert_eq!(spec.app.env, [("A".to_owned(), "b=c".to_owned())]);
    assert_eq!((spec.app.unenv, spec.app.umask, spec.app.no_new_privs), (vec!["LANG".to_owned()], Some(0o027), true));
    assert_eq!((spec.app.stop_signal, spec.app.reload_signal, spec.timeouts.stop), (2, Some(1), Duration::from_millis(500)));
}

#[test]
fn binary_patches_are_commands_through_a_shell() {
    assert!(
        matches!(spec("unprivileged-binary-patch-arg = a | b").app.program, ProgramSpec::Shell(line) if line.value == "a | b")
    );
    assert!(
        matches!(spec("privileged-binary-patch-arg = a").app.program, ProgramSpec::PrivilegedShell(line) if line.value == "a")
    );
}

#[test]
fn checks_share_their_times() {
    let checks =
        spec("mountpoint-check = /a\nmount-check = /b\nmountpoint-check-timeout = 2.5\nmountpoint-check-tolerance = 3\nmountpoint-check-required = true\n").checks;
    assert_eq!(checks.iter().map(|check| check.path.value.as_str()).collect::<Vec<_>>(), ["/a", "/b"]);
    assert!(checks.iter().all(|c| c.interval.as_secs() == 1 && c.timeout.as_millis() == 2500 && c.tolerance == 3 && c.required));
}

#[test]
fn commands_of_hooks_see_the_environment_of_the_file() {
    let hooks = spec("exec-as-user = fuse-zip $A /app\nenv = A=%(z)\nz = $(ZIP)\n").jail.hooks;
    assert_eq!((hooks[0].phase, &hooks[0].verb.value), (HookPhase::Asap, &Verb::Putenv("A=/z.zip".into())));
    // Without a command nothing of the jail depends on it: a change of the environment is a change of the app.
    assert!(spec("env = A=b\n").jail.hooks.is_empty());
}

#[test]
fn declared_options_are_opened() {
    let text = "declare-option = zip=exec-as-user=fuse-zip $1 $2;mountpoint-check=$2;env=Z=$1\nzip = /a.zip /app\n";
    let spec = spec(text);
    assert_eq!(spec.jail.hooks[1].verb.value, Verb::Exec("fuse-zip /a.zip /app".into()));
    assert_eq!(spec.checks[0].path.value, "/app");
    assert_eq!(given(text), ["env=Z=/a.zip", "master=true"]);
}

#[test]
fn attributes_are_read_raw() {
    let text = "a = b\n[emperor]\nk = %Y %(a) $(ZIP)\nlimits = 5 ; x\n";
    assert_eq!(spec(text).attributes, [("k", "%Y %(a) $(ZIP)"), ("limits", "5 ; x")].map(|(k, v)| (k.to_owned(), v.to_owned())));
}

#[test]
fn pairs_of_the_emperor_come_first() {
    let set = [("stop-timeout", "9"), ("what", "emperors"), ("hook-timeout", "9")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let text = b"[vassal]\nuid = 0\ncommand = a\nstop-timeout = 5\nwhat = files\nexec-as-user = %(what)\n";
    let source = Source { set: &set, ..Source::new("a.ini", text) };
    let spec = read_vassal(&source, &world()).value.unwrap().fresh;
    // A scalar of the file wins, a placeholder of the emperor's does: the last and the first one count.
    assert_eq!((spec.timeouts.stop.as_secs(), spec.timeouts.hook.as_secs()), (5, 9));
    assert_eq!(spec.jail.hooks[0].verb.value, Verb::Exec("emperors".into()));
}

#[test]
fn no_bytes_make_it_fall_over() {
    let words: &[&[u8]] = &[
        b"[uwsgi]\n",
        b"uid",
        b"=",
        b"shop",
        b"\n",
        b"\r",
        b"%",
        b"(",
        b")",
        b"%(a)",
        b"$(",
        b"@(",
        b"\xff",
        b"\0",
        b"\\",
        b"hook-as-root",
        b"mount:",
        b" ",
        b"if-env",
        b"for",
        b"endif",
        b"include=common.ini",
        b"command",
        b"'",
        b"\xe2\x82\xac",
        b"[",
        b"]",
        b"set",
        b";",
        b"\xef\xbb\xbf",
        b"mountpoint-check",
        b"env",
        b"declare-option",
        b"$1",
        b"umount:",
        b",",
        b"1",
        b"-",
        b"a",
        b"else",
        b"inherit=common.ini",
    ];
    let mut state = 1u64;
    for _ in 0..1000 {
        let mut text = b"[uwsgi]\n".to_vec();
        for _ in 0..40 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.extend_from_slice(words[(state >> 33) as usize % words.len()]);
        }
        let reading = read_vassal(&Source::new("shop.ini", &text), &world());
        assert_eq!(reading.value.is_none(), reading.diagnostics.iter().any(liege_spec::Diagnostic::is_error));
        for diagnostic in &reading.diagnostics {
            let _ = diagnostic.to_string();
        }
    }
}

#[test]
fn daemons_of_a_command_are_understood_as_uwsgi_does() {
    let text = "command = a\nattach-daemon = redis-server --port 0 | cat\nattach-control-daemon = fuse-zip -f /a.zip /app\n\
                smart-attach-daemon = /run/n.pid,3 nginx -c x\nsmart-attach-daemon2 = /run/m.pid memcached\n\
                attach-daemon2 = cmd=a\\,b,pidfile=/p,freq=2,daemonize=1,control=1,uid=5,gid=6,chdir=/tmp,stopsignal=2,\
                reloadsignal=HUP,notifypid=1,max_throttle=9\n";
    let daemons = spec(text).app.daemons;
    let lines: Vec<_> = daemons.iter().map(|daemon| daemon.at.line).collect();
    assert_eq!(lines, [3, 4, 5, 6, 7]);
    let short = |daemon: &AttachedDaemon| {
        let pidfile = daemon.pidfile.as_ref();
        let pidfile = pidfile.map(|file| (file.path.clone(), file.patience.as_secs(), file.written_for_it));
        (daemon.command.clone(), pidfile, daemon.control)
    };
    let pidfile = |path: &str, patience, written| Some((path.to_owned(), patience, written));
    assert_eq!(
        daemons.iter().map(|daemon| short(&daemon.value)).collect::<Vec<_>>(),
        [
            ("redis-server --port 0 | cat".to_owned(), None, false),
            ("fuse-zip -f /a.zip /app".to_owned(), None, true),
            ("nginx -c x".to_owned(), pidfile("/run/n.pid", 3, false), false),
            ("memcached".to_owned(), pidfile("/run/m.pid", 10, true), false),
            ("a,b".to_owned(), pidfile("/p", 2, true), true),
        ]
    );
    let keyed = &daemons[4].value;
    assert_eq!((keyed.uid, keyed.gid, keyed.chdir.as_deref()), (Some(5), Some(6), Some("/tmp")));
    assert_eq!((keyed.stop_signal, keyed.reload_signal, keyed.notify), (2, Some(1), true));
    assert_eq!((keyed.max_throttle.as_secs(), daemons[0].value.max_throttle.as_secs()), (9, 300));
}

#[test]
fn how_long_an_end_may_take_is_the_vassals_own_word_then_the_emperors() {
    let stop = |text: &str, stop_timeout| {
        let text = format!("[vassal]\nuid = 0\ncommand = /bin/true\n{text}");
        let source = Source { stop_timeout, ..Source::new("/etc/vassals/shop.ini", text.as_bytes()) };
        let config = read_vassal(&source, &world()).value.unwrap();
        assert_eq!(config.fresh.timeouts, config.again.timeouts);
        config.fresh.timeouts.stop.as_secs()
    };
    let emperors = Some(Duration::from_secs(7));
    assert_eq!((stop("", None), stop("", emperors)), (30, 7));
    assert_eq!((stop("stop-timeout = 5\n", None), stop("stop-timeout = 5\n", emperors)), (5, 5));
}

#[test]
fn the_section_says_which_kind_of_vassal_it_is() {
    // uWSGI knows no `command`: in its own section it is a name for placeholders.
    let text = "command = sleep 1000\nattach-daemon = %(command)\n";
    let read = |text: &str| read_vassal(&Source::new("/etc/vassals/shop.ini", text.as_bytes()), &world()).value.unwrap().fresh;
    let uwsgi = read(&format!("[uwsgi]\nuid = shop\ngid = shop\n{text}"));
    let ProgramSpec::Uwsgi { options, .. } = uwsgi.app.program else { panic!("{:?}", uwsgi.app.program) };
    assert!(options.contains(&("attach-daemon".into(), "sleep 1000".into())), "{options:?}");
    assert!(uwsgi.app.environment.inherit);
    let own = read(&format!("[vassal]\nuid = shop\ngid = shop\n{text}"));
    assert!(matches!(own.app.program, ProgramSpec::Command(_)) && !own.app.environment.inherit);
    assert!(read("[vassal]\nuid = shop\ngid = shop\ncommand = a\ninherit-env = true\n").app.environment.inherit);
}

#[test]
fn the_secrets_of_a_file_are_pairs_that_nothing_shows() {
    let world = world().with_file("/etc/shop.env", "# ours\nTOKEN=s3cret\n");
    let text = "[vassal]\nuid = shop\ngid = shop\ncommand = a\nenv-file = /etc/shop.env\n";
    let spec = read_vassal(&Source::new("/etc/vassals/shop.ini", text.as_bytes()), &world).value.unwrap().fresh;
    assert_eq!(spec.app.environment.secrets.0, [("TOKEN".to_owned(), "s3cret".to_owned())]);
    assert!(!format!("{spec:?}").contains("s3cret"));
}

#[test]
fn a_uwsgi_that_gives_up_root_at_once_has_no_phase_of_root() {
    let text = "immediate-gid = shop\nimmediate-uid = shop\nhook-asap = exec:a\nexec-as-root = b\nexec-as-user = c\nchroot = /r\nexec-as-user-atexit = d\n";
    let jail = spec(text).jail;
    assert!(jail.immediate && jail.chroot.is_none());
    let identity = jail.identity.unwrap().value;
    assert_eq!((identity.uid, identity.gid, identity.groups), (1001, 1002, Vec::new()));
    let phases: Vec<HookPhase> = jail.hooks.iter().map(|hook| hook.phase).collect();
    assert_eq!(phases, [HookPhase::Asap, HookPhase::AsUserAtexit]);
}

#[test]
fn a_file_can_ask_whether_it_is_a_vassals() {
    let text = "if-not-env = UWSGI_EMPEROR_FD\nsocket = /run/alone\nend-if =\nif-env = UWSGI_EMPEROR_FD\nsocket = /run/vassal\nend-if =\n";
    assert_eq!(given(text), ["socket=/run/vassal"]);
}

#[test]
fn a_vassal_is_named_as_its_emperor_names_it() {
    assert_eq!(given("env = CONF=%o\n"), ["env=CONF=shop.ini"]);
}

#[test]
fn a_backlog_is_not_an_address() {
    assert_eq!(given("listen = 10   # backlog\n"), ["listen=10   # backlog"]);
    for address in ["127.0.0.1:80", ":80", "/run/a.sock", "[::1]:80", "@a"] {
        let text = format!("[uwsgi]\nlisten = {address}\n");
        let reading = read_vassal(&Source::new("/etc/vassals/shop.ini", text.as_bytes()), &world());
        assert!(reading.value.is_none(), "{address}");
    }
}
