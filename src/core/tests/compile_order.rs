//! The order of a plan, step by step, without a kernel.

#![allow(unreachable_pub, reason = "a module of a test is seen by nobody else")]

#[allow(dead_code, reason = "the simulated world shares its small specs with other tests")]
#[path = "world/specs.rs"]
mod specs;

use liege_core::{CompileError, Surroundings, compile, compile_reload};
use liege_plan::{Limits, Phase, Program, describe_act};
use liege_spec::{
    Account, Asked, Hook, HookPhase, Identity, Names, Namespaces, Origin, PivotRoot, ProgramSpec, VassalConfig, Verb,
};

fn around<'a>() -> Surroundings<'a> {
    Surroundings {
        vassal: "app.ini",
        directory: "/etc/vassals",
        namespaces: Namespaces { mount: true, pid: true, ..Namespaces::default() },
        vassal_caps: None,
        graceful_stop: false,
        hooks: &[],
        limits: specs::LIMITS,
    }
}

fn at(line: u32) -> Origin {
    Origin { file: "app.ini".into(), line, column: 1, key: "key".into() }
}

/// Every phase has one hook, given in the wrong order on purpose.
fn full() -> VassalConfig {
    let mut config = specs::config(0, 0);
    let phases = [
        HookPhase::AsUserAtexit,
        HookPhase::AsUser,
        HookPhase::AsRoot,
        HookPhase::PostJail,
        HookPhase::InJail,
        HookPhase::PreJail,
        HookPhase::Asap,
        HookPhase::AsVassal,
        HookPhase::AsVassalBeforeDrop,
    ];
    for spec in [&mut config.fresh, &mut config.again] {
        spec.jail.hooks = phases
            .iter()
            .enumerate()
            .map(|(i, phase)| Hook {
                phase: *phase,
                verb: Asked::new(Verb::Exec(format!("{phase:?}")), at(u32::try_from(i).unwrap_or_default() + 1)),
                hidden: false,
            })
            .collect();
        spec.jail.identity = Some(Asked::new(Identity { uid: 1001, gid: 1001, groups: vec![1001] }, at(20)));
        spec.jail.pivot_root = Some(Asked::new(PivotRoot { new: "/ufs".into(), old: "/ufs/.old_root".into() }, at(21)));
        spec.jail.wait_for =
            vec![Asked::new(Verb::WaitForFs("/x".into()), at(22)), Asked::new(Verb::WaitForSocket("/s".into()), at(23))];
    }
    config
}

#[test]
fn a_first_start_follows_uwsgis_order() {
    let plan = compile(&full(), around()).unwrap();
    let steps: Vec<String> = plan.work.steps.iter().map(|s| describe_act(&s.act)).collect();
    assert_eq!(
        steps,
        [
            "make / recursively slave",
            "mount a fresh /proc",
            "exec AsVassalBeforeDrop",
            "exec AsVassal",
            "exec Asap",
            "exec PreJail",
            "exec InJail",
            "make / recursively private",
            "pivot_root /ufs /ufs/.old_root",
            "wait for /x",
            "exec AsRoot",
            "exec AsUser",
            "wait for socket /s",
        ]
    );
    let phases = plan.work.steps.iter().filter(|s| s.as_user).map(|s| s.phase).collect::<Vec<_>>();
    assert_eq!(phases, [Phase::AsUser, Phase::WaitFor]);
    assert_eq!(plan.origins.len(), plan.work.steps.len());
    assert_eq!(plan.origins[8].origin.as_ref().map(|o| o.line), Some(21), "a failed pivot names its line");
    assert!(plan.work.at_exit.iter().all(|s| s.as_user && !s.fatal));
}

fn words(config: &VassalConfig, around: Surroundings<'_>) -> Vec<String> {
    compile(config, around).unwrap().work.steps.iter().map(|step| describe_act(&step.act)).collect()
}

#[test]
fn more_namespaces_come_after_in_jail_and_post_jail_runs_in_them() {
    let mut config = full();
    let of = |which: Namespaces| Some(Asked::new(which, at(30)));
    config.fresh.jail.unshare = of(Namespaces { mount: true, net: true, ..Namespaces::default() });
    config.fresh.jail.unshare2 = of(Namespaces { uts: true, ..Namespaces::default() });
    let steps = words(&config, around());
    let first = steps.iter().position(|step| step == "exec InJail").unwrap();
    assert_eq!(
        steps[first + 1..first + 8],
        [
            "unshare fs,net",
            "make / recursively slave",
            "set the loopback interface up",
            "exec PostJail",
            "make / recursively private",
            "pivot_root /ufs /ufs/.old_root",
            "unshare uts",
        ]
    );
    let again = compile_reload(&config, around()).unwrap().work.steps;
    assert!(again.iter().all(|step| !describe_act(&step.act).contains("unshare")), "a reload keeps them");
}

#[test]
fn jailed_alone_runs_post_jail_and_again_as_root() {
    let mut config = full();
    for spec in [&mut config.fresh, &mut config.again] {
        (spec.jail.jailed, spec.jail.identity) = (true, None);
    }
    assert!(words(&config, around()).contains(&"exec PostJail".to_owned()));
    let again = compile_reload(&config, around()).unwrap().work.steps;
    assert!(again.iter().any(|step| step.phase == Phase::PostJail));
}

#[test]
fn what_the_emperor_leaves_bounds_programs_before_as_vassal_and_init_after_it() {
    let around = Surroundings { vassal_caps: Some(1 << 21), ..around() };
    let steps = words(&full(), around);
    let first = steps.iter().position(|step| step == "exec AsVassalBeforeDrop").unwrap();
    assert_eq!(
        steps[first + 1..first + 5],
        ["leave to programs the capabilities 0x200100", "exec AsVassal", "keep the capabilities 0x200100", "exec Asap"]
    );
    let mut config = full();
    config.fresh.app.program = ProgramSpec::Shell(Asked::new("x".into(), at(1)));
    config.fresh.jail.caps = Some(Asked::new(1 << 21 | 1 << 10, at(40)));
    let refused = compile(&config, around).unwrap_err();
    assert!(matches!(&refused, CompileError::CapNotLeft { names, at } if names == "net_bind_service" && at.line == 40));
    config.fresh.jail.caps = Some(Asked::new(1 << 21, at(40)));
    assert_eq!(compile(&config, around).unwrap().work.app.caps, Some(1 << 21));
}

#[test]
fn names_are_found_in_the_new_root_before_anybody_is_them() {
    let mut config = full();
    let name = |name: &str| Account::Name(name.into());
    let names = Names { user: name("shop"), group: name("web"), more: Vec::new(), initgroups: true };
    for spec in [&mut config.fresh, &mut config.again] {
        (spec.jail.identity, spec.jail.names) = (None, Some(Asked::new(names.clone(), at(20))));
        spec.app.program = ProgramSpec::Shell(Asked::new("x".into(), at(1)));
    }
    let compiled = compile(&config, around()).unwrap();
    let steps: Vec<_> = compiled.work.steps.iter().map(|step| (describe_act(&step.act), step.as_user)).collect();
    let last = [("exec AsRoot", false), ("find user shop and group web in this root", false), ("exec AsUser", true)];
    let first = steps.iter().position(|(step, _)| step == last[0].0).unwrap();
    assert_eq!(steps[first..first + 3], last.map(|(step, as_user)| (step.to_owned(), as_user)));
    assert!(compiled.work.app.found_identity && compiled.work.app.identity.is_none());
    let again = compile_reload(&config, around()).unwrap().work;
    assert!(again.app.found_identity && again.steps.iter().skip(1).all(|step| step.as_user), "nobody is looked for twice");
}

#[test]
fn a_network_of_its_own_has_its_loopback_from_the_start() {
    let around = Surroundings { namespaces: Namespaces { net: true, ..around().namespaces }, ..around() };
    assert_eq!(words(&full(), around)[2], "set the loopback interface up");
}

#[test]
fn the_emperors_hooks_come_before_the_vassals_of_the_same_phase() {
    let hook = |phase: HookPhase| Hook {
        phase,
        verb: Asked::new(Verb::Exec(format!("{phase:?} of the emperor")), Origin { file: "emperor.ini".into(), ..at(9) }),
        hidden: false,
    };
    let hooks = [HookPhase::AsVassal, HookPhase::AsVassalBeforeDrop].map(hook);
    let plan = compile(&full(), Surroundings { hooks: &hooks, ..around() }).unwrap();
    let steps: Vec<String> = plan.work.steps.iter().skip(2).take(4).map(|s| describe_act(&s.act)).collect();
    let order =
        ["exec AsVassalBeforeDrop of the emperor", "exec AsVassalBeforeDrop", "exec AsVassal of the emperor", "exec AsVassal"];
    assert_eq!(steps, order);
    assert_eq!(plan.origins[2].origin.as_ref().map(|o| o.file.as_str()), Some("emperor.ini"));
}

#[test]
fn a_reload_repeats_only_what_uwsgi_repeats() {
    let steps = |config: &VassalConfig| -> Vec<(String, bool)> {
        let reload = compile_reload(config, around()).unwrap();
        reload.work.steps.iter().skip(1).map(|s| (describe_act(&s.act), s.as_user)).collect()
    };
    let named = |words: &[&str], user: bool| words.iter().map(|w| ((*w).to_owned(), user)).collect::<Vec<_>>();
    let mut config = full();
    assert_eq!(steps(&config), named(&["exec Asap", "exec InJail", "wait for socket /s"], true), "after a drop");
    config.again.jail.identity = None;
    let all = ["exec Asap", "exec InJail", "wait for /x", "exec AsRoot", "exec AsUser", "wait for socket /s"];
    assert_eq!(steps(&config), named(&all, false), "as root");
}

#[test]
fn a_mount_of_many_words_is_many_steps_of_one_line_and_an_alarm_none() {
    let mut config = specs::config(0, 0);
    let mount = Verb::Mount {
        fstype: "none".into(),
        source: "/a".into(),
        target: "/b".into(),
        flags: 1 << 12 | 1 | 1 << 18,
        data: String::new(),
    };
    let hook = |verb| Hook { phase: HookPhase::Asap, verb: Asked::new(verb, at(7)), hidden: false };
    config.fresh.jail.hooks = vec![hook(Verb::Alarm), hook(mount)];
    let plan = compile(&config, around()).unwrap();
    let steps: Vec<String> = plan.work.steps.iter().skip(2).map(|s| describe_act(&s.act)).collect();
    assert_eq!(steps, ["mount none /a on /b bind", "make the mount /b ro", "mount none none on /b private"]);
    assert!(plan.origins.iter().skip(2).all(|source| source.origin.as_ref().map(|o| o.line) == Some(7)));
    assert_eq!(plan.origins.len(), plan.work.steps.len());
}

#[test]
fn without_namespaces_the_host_is_left_alone() {
    let around = Surroundings { namespaces: Namespaces::default(), ..around() };
    let plan = compile(&specs::config(0, 0), around).unwrap();
    assert!(plan.work.steps.iter().all(|s| s.phase != Phase::Birth));
    assert!(!plan.work.own_pid_namespace);
}

#[test]
fn without_mounts_of_its_own_a_vassal_changes_no_root() {
    let around = Surroundings { namespaces: Namespaces { pid: true, ..Namespaces::default() }, ..around() };
    let error = compile(&full(), around).unwrap_err();
    assert_eq!(error, CompileError::WouldTurnTheHost { at: at(21) });
    assert!(error.to_string().contains("app.ini:21"), "{error}");
}

#[test]
fn uwsgi_is_told_its_options_with_every_percent_doubled() {
    let mut config = specs::config(0, 0);
    let options = vec![("log-format".to_owned(), "100% %(uri)".to_owned()), ("master".to_owned(), String::new())];
    config.fresh.app.program = ProgramSpec::Uwsgi { binary: "uwsgi".into(), options };
    let Program::Uwsgi(uwsgi) = compile(&config, around()).unwrap().work.app.program else { panic!("not uwsgi") };
    assert_eq!(uwsgi.config, "[uwsgi]\nlog-format = 100%% %%(uri)\nmaster = \n");
}

/// The `(` comes from a placeholder, which uwsgi puts in when it has looked for `$(` and `@(`; what acts at once it does not look through.
#[test]
fn what_uwsgi_is_told_opens_no_variable_and_no_file() {
    let mut config = specs::config(0, 0);
    let options = [("a", "x"), ("env", "A=@(exec://id) $(B)"), ("plugins-dir", "/x$(B)"), ("exec-post-app", "echo $(date)")];
    let options = options.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    config.fresh.app.program = ProgramSpec::Uwsgi { binary: "uwsgi".into(), options };
    let Program::Uwsgi(uwsgi) = compile(&config, around()).unwrap().work.app.program else { panic!("not uwsgi") };
    let meant = "[uwsgi]\na = x\nset-placeholder = liege-open=(\nenv = A=@%(liege-open)exec://id) $%(liege-open)B)\n\
                 plugins-dir = /x$(B)\nexec-post-app = echo $%(liege-open)date)\n";
    assert_eq!(uwsgi.config, meant);
}

#[test]
fn a_uwsgi_that_reloads_is_told_what_the_hooks_of_the_reload_have_set() {
    let mut config = specs::config(0, 0);
    let options = vec![("env".to_owned(), "A=line".to_owned())];
    let putenv = |pair: &str, key: &str| {
        let verb = Asked::new(Verb::Putenv(pair.into()), Origin { key: key.into(), ..at(3) });
        Hook { phase: HookPhase::Asap, verb, hidden: false }
    };
    for spec in [&mut config.fresh, &mut config.again] {
        spec.app.program = ProgramSpec::Uwsgi { binary: "uwsgi".into(), options: options.clone() };
        spec.jail.hooks = vec![putenv("A=line", "env"), putenv("A=50%", "hook-asap")];
    }
    let text = |app: liege_plan::App| if let Program::Uwsgi(uwsgi) = app.program { uwsgi.config } else { panic!("not uwsgi") };
    assert_eq!(text(compile(&config, around()).unwrap().work.app), "[uwsgi]\nenv = A=line\n", "it inherits the rest");
    assert_eq!(text(compile_reload(&config, around()).unwrap().work.app), "[uwsgi]\nenv = A=line\nenv = A=50%%\n");
}

#[test]
fn hooks_are_told_the_env_and_umask_of_the_file_at_once_and_anew_at_a_reload() {
    let mut config = specs::config(0, 0);
    let told = |verb, key: &str| Hook {
        phase: HookPhase::Asap,
        verb: Asked::new(verb, Origin { key: key.into(), ..at(3) }),
        hidden: false,
    };
    let exec = || told(Verb::Exec("true".into()), "exec-asap");
    config.fresh.jail.hooks = vec![told(Verb::Umask(0o77), "umask"), told(Verb::Putenv("A=1".into()), "env"), exec()];
    config.again.jail.hooks = vec![exec()];
    let first: Vec<String> =
        compile(&config, around()).unwrap().work.steps.iter().skip(2).map(|s| describe_act(&s.act)).collect();
    assert_eq!(first, ["env A=1, umask 77", "exec true"]);
    let reload = compile_reload(&config, around()).unwrap().work;
    let again: Vec<String> = reload.steps.iter().map(|s| describe_act(&s.act)).collect();
    assert_eq!(again, ["env and umask as inherited", "exec true"], "what is told no more is taken back");
    assert_eq!(compile(&config, around()).unwrap().work.again, reload.steps, "init keeps the rights for these");
}

#[test]
fn a_uwsgi_in_a_root_of_its_own_is_told_numbers_instead_of_names() {
    let mut config = specs::config(0, 0);
    let options = ["uid", "gid", "add-gid", "no-initgroups", "env"].map(|key| (key.to_owned(), "shop".to_owned()));
    config.fresh.app.program = ProgramSpec::Uwsgi { binary: "uwsgi".into(), options: options.to_vec() };
    let app = |config: &liege_spec::VassalConfig| compile(config, around()).unwrap().work.app;
    assert!(!app(&config).found_identity);
    let account = |name: &str| Account::Name(name.into());
    let names = Names { user: account("shop"), group: account("shop"), more: Vec::new(), initgroups: true };
    (config.fresh.jail.identity, config.fresh.jail.names) = (None, Some(Asked::new(names, at(2))));
    let app = app(&config);
    let Program::Uwsgi(uwsgi) = app.program else { panic!("not uwsgi") };
    assert_eq!((&*uwsgi.config, app.found_identity), ("[uwsgi]\nenv = shop\n", true));
}

#[test]
fn what_a_uwsgi_cannot_change_by_its_own_reload_needs_a_new_process() {
    let lasting = |lines: &[&str]| {
        let mut config = specs::config(0, 0);
        let options = lines.iter().map(|line| line.split_once('=').unwrap()).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        config.fresh.app.program = ProgramSpec::Uwsgi { binary: "uwsgi".into(), options };
        config.fresh.jail.identity = Some(Asked::new(Identity { uid: 1001, gid: 1001, groups: Vec::new() }, at(2)));
        let Program::Uwsgi(uwsgi) = compile(&config, around()).unwrap().work.app.program else { panic!("not uwsgi") };
        uwsgi.lasting
    };
    let old = ["env=A=1", "env=B=2", "max-fd=512", "processes=2"];
    for (new, serves) in [
        (vec!["env=B=3", "env=A=4", "env=C=5", "max-fd=512", "processes=4"], true),
        (vec!["env=A=1", "max-fd=512"], false),
        (vec!["env=A=1", "env=B=2", "max-fd=1024"], false),
        (vec!["env=A=1", "env=B=2", "max-fd=512", "umask=077"], false),
        (vec!["env=A=1", "env=B=2", "max-fd=512", "cap=kill"], false),
    ] {
        assert_eq!(lasting(&old).can_become(&lasting(&new)), serves, "{new:?}");
    }
    assert!(!lasting(&["cap=kill"]).can_become(&lasting(&["cap=kill"])), "its own exec takes them from it");
}

#[test]
fn the_daemons_protection_from_the_oom_killer_is_not_handed_down() {
    for (daemon, asked, given) in [(-500, None, 0), (0, None, 0), (300, None, 300), (-500, Some(-100), -100), (300, Some(0), 0)] {
        let mut config = specs::config(0, 0);
        config.fresh.jail.oom_score_adjust = asked.map(|score| Asked::new(score, at(1)));
        let limits = Limits { oom_score_adj: daemon, ..specs::LIMITS };
        let plan = compile(&config, Surroundings { limits, ..around() }).unwrap().work;
        assert_eq!(plan.limits.oom_score_adj, given, "the daemon has {daemon}, the file says {asked:?}");
    }
}

#[test]
fn what_uwsgis_protocol_cannot_carry_is_refused_in_words() {
    let mut config = specs::config(0, 0);
    let mut with = |value: String| {
        config.fresh.app.program = ProgramSpec::Uwsgi { binary: "uwsgi".into(), options: vec![("env".into(), value)] };
        compile(&config, around()).map(|_| ())
    };
    assert_eq!(liege_spec::MOST_FOR_UWSGI, liege_plan::Uwsgi::MAX_CONFIG, "refused where it is read already");
    assert_eq!(with("x".repeat(65_520)), Ok(()));
    assert!(matches!(with("x".repeat(70_000)), Err(CompileError::ConfigTooLong { length: 70_015 })));
    assert!(matches!(with("a\nb".into()), Err(CompileError::ValueHasLineBreak { key }) if key == "env"));
}
