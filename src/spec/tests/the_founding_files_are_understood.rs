//! The four files of the founding tutorial, letter by letter.

use liege_spec::testing::TableLookup;
use liege_spec::{HookPhase, ProgramSpec, Source, VassalConfig, Verb, read_emperor, read_vassal};

fn world() -> TableLookup {
    TableLookup::default().with_user("user001", 1001, 1001)
}

fn vassal(text: &str) -> VassalConfig {
    let reading = read_vassal(&Source::new("app001.ini", text.as_bytes()), &world());
    assert_eq!(reading.diagnostics, []);
    reading.value.expect("no errors, so there is a value")
}

fn options(program: &ProgramSpec) -> Vec<String> {
    match program {
        ProgramSpec::Uwsgi { options, .. } => options.iter().map(|(key, value)| format!("{key}={value}")).collect(),
        other => panic!("not uwsgi: {other:?}"),
    }
}

#[test]
fn the_emperor() {
    let text = include_bytes!("seed/emperor.ini");
    let reading = read_emperor(Some(&Source::new("emperor.ini", text)), &[], &world());
    assert_eq!(reading.diagnostics, []);
    let spec = reading.value.unwrap();
    assert_eq!(spec.monitors[0].value, "/etc/uwsgi/vassals");
    assert!(spec.namespaces.mount && spec.namespaces.pid && !spec.namespaces.net);
    let flags = [("emperor", "/etc/uwsgi/vassals"), ("emperor-use-clone", "fs,pid")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    assert_eq!(read_emperor(None, &flags, &world()).value.unwrap(), spec);
}

#[test]
fn the_first_vassal() {
    let config = vassal(include_str!("seed/zip.ini"));
    let jail = &config.fresh.jail;
    let identity = jail.identity.as_ref().unwrap();
    assert_eq!((identity.value.uid, identity.value.gid, identity.at.line), (1001, 1001, 2));
    assert_eq!(jail.hooks.len(), 1);
    assert_eq!(jail.hooks[0].phase, HookPhase::AsUser);
    assert_eq!(jail.hooks[0].verb.value, Verb::Exec("fuse-zip -r /var/www/app001.zip /app".into()));
    assert_eq!((jail.hooks[0].verb.at.line, jail.hooks[0].verb.at.column), (7, 3));
    assert!(config.again.jail.hooks.is_empty());
    assert!(config.fresh.checks.is_empty());
    let given = ["uid=user001", "gid=user001", "http-socket=:9090", "psgi=/app/myapp.pl"];
    assert_eq!(options(&config.fresh.app.program), given);
    assert_eq!(config.fresh.app, config.again.app);
}

#[test]
fn the_checked_vassal() {
    let config = vassal(include_str!("seed/zip-checked.ini"));
    assert_eq!(config.fresh.checks.len(), 1);
    assert_eq!((config.fresh.checks[0].path.value.as_str(), config.fresh.checks[0].path.at.line), ("/app", 13));
    // The check is liege's; the master it switched on in uWSGI stays.
    assert_eq!(options(&config.fresh.app.program).last().unwrap(), "master=true");
}

#[test]
fn the_vassal_with_a_root_of_its_own() {
    let config = vassal(include_str!("seed/cow.ini"));
    let jail = &config.fresh.jail;
    let shown: Vec<(HookPhase, &Verb)> = jail.hooks.iter().map(|hook| (hook.phase, &hook.verb.value)).collect();
    let unionfs = "unionfs-fuse -ocow,chroot=/ns,default_permissions,allow_other /precise=RO:/cow/user001=RW /ufs";
    assert_eq!(shown[0], (HookPhase::PreJail, &Verb::Chdir("/".into())));
    assert_eq!(shown[1], (HookPhase::PreJail, &Verb::Exec(unionfs.into())));
    assert!(
        matches!(shown[2], (HookPhase::AsRoot, Verb::Mount { fstype, target, flags: 0, .. }) if fstype == "proc" && target == "/proc")
    );
    assert!(matches!(shown[3], (HookPhase::AsRoot, Verb::Mount { source, flags: 4096, .. }) if source == "/.old_root/dev"));
    assert!(matches!(shown[4], (HookPhase::AsRoot, Verb::Umount { detach: true, recursive: true, force: false, .. })));
    let pivot = &jail.pivot_root.as_ref().unwrap().value;
    assert_eq!((pivot.new.as_str(), pivot.old.as_str()), ("/ufs", "/ufs/.old_root"));
    let given = [
        "plugins-dir=/ns/precise/opt/uwsgi/plugins",
        "plugins-dir=/opt/uwsgi/plugins",
        "plugin=psgi",
        "uid=user001",
        "gid=user001",
        "http-socket=:9090",
        "psgi=/var/www/myapp.pl",
        "master=true",
    ];
    assert_eq!(options(&config.fresh.app.program), given);
}
