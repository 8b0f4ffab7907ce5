//! Small configurations for the simulated world.

use std::time::Duration;

use liege_core::Name;
use liege_plan::Limits;
use liege_spec::{
    AppSpec, Asked, EmperorDeath, EmperorSpec, Environment, Hook, HookPhase, Identity, Jail, MountpointCheck, Namespaces, Origin,
    ProcessLimits, ProgramSpec, RestartLimits, RestartRules, Timeouts, VassalConfig, VassalSpec, Verb,
};

pub const THROTTLE: Duration = Duration::from_secs(1);
pub const MAX_THROTTLE: Duration = Duration::from_secs(180);
pub const LIMITS: Limits = Limits { nofile: (1024, 4096), oom_score_adj: 0, umask: 0o022 };

pub fn name(vassal: u8) -> Name {
    format!("app{}.ini", vassal % 8).into()
}

fn at(line: u32, key: &str) -> Origin {
    Origin { file: "app.ini".into(), line, column: 1, key: key.into() }
}

/// A vassal with one hook (of version `jail`) and an app (of version `app`; even ones are a real uwsgi).
pub fn config(jail: u8, app: u8) -> VassalConfig {
    let hook = Hook {
        phase: HookPhase::AsUser,
        verb: Asked::new(Verb::Exec(format!("fuse-zip -r /srv/{}.zip /app", jail % 2)), at(4, "exec-as-user")),
        hidden: false,
    };
    let program = if app.is_multiple_of(2) {
        ProgramSpec::Uwsgi { binary: "uwsgi".into(), options: vec![("psgi".into(), format!("/app/{app}.pl"))] }
    } else {
        ProgramSpec::Command(Asked::new(vec!["app".into(), app.to_string()], at(6, "command")))
    };
    let spec = VassalSpec {
        log: liege_spec::LogRules::default(),
        jail: Jail { hooks: vec![hook], fresh_proc: true, ..Jail::default() },
        app: AppSpec {
            program,
            chdir: None,
            environment: Environment { inherit: true, ..Environment::default() },
            env: Vec::new(),
            unenv: Vec::new(),
            umask: None,
            no_new_privs: false,
            limits: ProcessLimits::default(),
            stop_signal: 15,
            reload_signal: None,
            daemons: Vec::new(),
        },
        checks: vec![MountpointCheck {
            path: Asked::new("/app".into(), at(8, "mountpoint-check")),
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(5),
            tolerance: 1,
            required: false,
        }],
        timeouts: Timeouts::default(),
        restarts: RestartRules::default(),
        attributes: Vec::new(),
    };
    VassalConfig { fresh: spec.clone(), again: spec }
}

/// The same, run as this uid.
#[allow(dead_code, reason = "not every test is about owners")]
pub fn owned(uid: u32, mut config: VassalConfig) -> VassalConfig {
    for spec in [&mut config.fresh, &mut config.again] {
        let identity = Identity { uid, gid: uid, groups: Vec::new() };
        spec.jail.identity = Some(Asked::new(identity, at(3, "uid")));
    }
    config
}

/// Two may start at once, eight exist: places are short.
pub fn emperor() -> EmperorSpec {
    EmperorSpec {
        log_dir: "/var/log/liege".into(),
        monitors: Vec::new(),
        namespaces: Namespaces { mount: true, pid: true, ..Namespaces::default() },
        vassal_caps: None,
        freq: Duration::from_secs(3),
        throttle: THROTTLE,
        max_throttle: MAX_THROTTLE,
        restarts: RestartLimits::default(),
        required_heartbeat: Duration::from_secs(30),
        curse_tolerance: None,
        graceful_stop: false,
        nofollow: false,
        extra_extensions: Vec::new(),
        shrink_guard: Duration::ZERO,
        pidfiles: Vec::new(),
        state_dir: "/run/liege".into(),
        control: "/run/liege/control.sock".into(),
        health_log: None,
        metrics: None,
        metrics_hosts: Vec::new(),
        death: EmperorDeath::Kill,
        max_starts: Some(2),
        vassal_hooks: Vec::new(),
        vassal_set: Vec::new(),
    }
}
