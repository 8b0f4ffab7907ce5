//! The order of a plan, step by step, without a kernel.

#![allow(unreachable_pub, reason = "a module of a test is seen by nobody else")]

#[allow(dead_code, reason = "the simulated world shares its small specs with other tests")]
#[path = "world/specs.rs"]
mod specs;

use liege_core::{CompileError, Surroundings, compile, compile_reload};
use liege_plan::{Phase, Program, describe_act};
use liege_spec::{Asked, Hook, HookPhase, Identity, Namespaces, Origin, PivotRoot, ProgramSpec, VassalConfig, Verb};

fn around<'a>() -> Surroundings<'a> {
    Surroundings {
        vassal: "app.ini",
        directory: "/etc/vassals",
        namespaces: Namespaces { mount: true, pid: true, ..Namespaces::default() },
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
        reload.work.steps.iter().map(|s| (describe_act(&s.act), s.as_user)).collect()
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
    config.fresh.jail.hooks = vec![hook(Verb::Alarm), hook(mount), hook(Verb::Umask(0o77))];
    let plan = compile(&config, around()).unwrap();
    let steps: Vec<String> = plan.work.steps.iter().skip(2).map(|s| describe_act(&s.act)).collect();
    assert_eq!(steps, ["mount none /a on /b bind", "make the mount /b ro", "mount none none on /b private", "umask 77"]);
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
fn what_uwsgis_protocol_cannot_carry_is_refused_in_words() {
    let mut config = specs::config(0, 0);
    let mut with = |value: String| {
        config.fresh.app.program = ProgramSpec::Uwsgi { binary: "uwsgi".into(), options: vec![("env".into(), value)] };
        compile(&config, around()).map(|_| ())
    };
    assert_eq!(with("x".repeat(65_520)), Ok(()));
    assert!(matches!(with("x".repeat(70_000)), Err(CompileError::ConfigTooLong { length: 70_015 })));
    assert!(matches!(with("a\nb".into()), Err(CompileError::ValueHasLineBreak { key }) if key == "env"));
}
