//! The silent traps of the dialect, letter by letter as `liege check` shows them.

use liege_spec::testing::TableLookup;
use liege_spec::{
    Diagnostic, Namespaces, Severity, Source, checks_of_nothing, doubts_of_emperor, doubts_of_vassal, flatten, layers_taken_away,
    plugins_missing, read_emperor, read_vassal,
};

fn world() -> TableLookup {
    TableLookup::default()
        .with_user("shop", 1001, 1001)
        .with_env("HOME", "/root")
        .with_file("/etc/vassals/base.ini", "[uwsgi]\nuid = root\ngid = root\n")
}

const FS_PID: Namespaces = Namespaces { mount: true, pid: true, ipc: false, uts: false, net: false, cgroup: false, user: false };

/// Everything `check` says of a vassal's file.
fn vassal(text: &str) -> Vec<Diagnostic> {
    let source = Source::new("shop.ini", text.as_bytes());
    let reading = read_vassal(&source, &world());
    let (pairs, _) = flatten(&source, &["uwsgi", "vassal"], false, &world());
    let doubts = doubts_of_vassal(&source, &pairs, reading.value.as_ref(), FS_PID);
    reading.diagnostics.into_iter().chain(doubts).collect()
}

fn emperor(text: &str) -> Vec<Diagnostic> {
    let source = Source::new("emperor.ini", text.as_bytes());
    let reading = read_emperor(Some(&source), &[], &world());
    let (pairs, _) = flatten(&source, &["uwsgi", "liege"], false, &world());
    let doubts = reading.value.iter().flat_map(|spec| doubts_of_emperor(&source, &pairs, spec)).collect::<Vec<_>>();
    reading.diagnostics.into_iter().chain(doubts).collect()
}

fn shown(found: &[Diagnostic]) -> String {
    found.iter().map(Diagnostic::to_string).collect::<Vec<_>>().join("\n")
}

/// One trap, in a file that is well apart from it (lines 1 to 3 name section and user).
#[track_caller]
fn trap(lines: &str, meant: &str) {
    let section = if lines.starts_with("command") { "vassal" } else { "uwsgi" };
    assert_eq!(shown(&vassal(&format!("[{section}]\nuid = shop\ngid = shop\n{lines}\n"))), meant.trim_matches('\n'), "{lines}");
}

#[test]
fn percent_signs_that_vanish() {
    trap(
        "log-date = %Y-%%m",
        "
shop.ini:4:12: warning: %Y is no magic variable: it vanishes [eaten-percent]
  | log-date = %Y-%%m
  |            ^^
  = hint: a % that is meant as such is written %%",
    );
}

#[test]
fn text_behind_the_bracket() {
    let found = vassal("[uwsgi] ; the shop\nuid = shop\ngid = shop\n[uwsgi]\nuid = shop\ngid = shop\n");
    let meant = "
shop.ini:1:1: warning: names the section \"uwsgi] ; the sho\": nothing may follow the bracket, not even a remark [section-name]
  | [uwsgi] ; the shop
  | ^^^^^^^^^^^^^^^^^^
  = hint: remove \"; the shop\"";
    assert_eq!(shown(&found), meant.trim_matches('\n'));
}

#[test]
fn keys_above_the_first_section() {
    let found = vassal("uid = root\n[uwsgi]\nuid = shop\ngid = shop\n");
    let meant = "
shop.ini:1:1: warning: stands above the first section: it is not read [no-section]
  | uid = root
  | ^^^
  = hint: put it below [uwsgi]";
    assert_eq!(shown(&found), meant.trim_matches('\n'));
}

#[test]
fn remarks_that_are_none() {
    trap(
        "socket = /run/shop.sock ; behind nginx",
        "
shop.ini:4:25: warning: the remark is a part of the value: a comment needs a line of its own [inline-remark]
  | socket = /run/shop.sock ; behind nginx
  |                         ^^^^^^^^^^^^^^
  = hint: move it to the line above",
    );
    trap("exec-as-user = true ; true # both the shell's", "");
}

#[test]
fn commands_that_want_a_shell() {
    trap(
        "command = /app/run ; behind nginx",
        "
shop.ini:4:20: warning: no shell runs this: ; is an argument of the program [no-shell]
  | command = /app/run ; behind nginx
  |                    ^
  = hint: where a shell is meant: command = sh -c 'LINE'",
    );
    trap(
        "command = cd /app && ./run",
        "
shop.ini:4:11: warning: no shell runs this: cd is taken for the program [no-shell]
  | command = cd /app && ./run
  |           ^^
  = hint: write chdir = DIRECTORY, or command = sh -c 'LINE'",
    );
    trap(
        "command = PORT=80 ./run",
        "
shop.ini:4:11: warning: no shell runs this: PORT=80 is taken for the program [no-shell]
  | command = PORT=80 ./run
  |           ^^^^^^^
  = hint: write env = NAME=VALUE, or command = sh -c 'LINE'",
    );
    for word in ["exec", "export", "source", "."] {
        let found = vassal(&format!("[vassal]\nuid = shop\ngid = shop\ncommand = {word} ./run\n"));
        assert!(shown(&found).contains(&format!("no shell runs this: {word} is taken")), "{found:?}");
    }
    trap("command = /app/run PORT=80 cd", "");
    trap("command = 'cd' x", "");
    trap("command = /bin/sh -c 'a && b ; c'", "");
}

/// On a machine where these are there.
fn without_plugin(lines: &str, there: &[&str]) -> String {
    let text = format!("[uwsgi]\nuid = shop\ngid = shop\n{lines}\n");
    let source = Source::new("shop.ini", text.as_bytes());
    let config = read_vassal(&source, &world()).value.unwrap();
    let (pairs, _) = flatten(&source, &["uwsgi", "vassal"], false, &world());
    let found = plugins_missing(&source, &pairs, &config, &|path| there.contains(&path));
    shown(&found.into_iter().collect::<Vec<_>>())
}

#[test]
fn apps_whose_plugin_no_line_names() {
    const DEBIAN: &[&str] = &["/usr/lib/uwsgi/plugins"];
    assert_eq!(
        without_plugin("psgi = app.psgi", DEBIAN),
        "\
shop.ini:4:1: warning: no line names a plugin for psgi: a uwsgi that has none built in ignores psgi and serves nothing [no-plugin]
  | psgi = app.psgi
  | ^^^^
  = hint: add plugin = psgi, unless the emperor's vassal-set or UWSGI_PLUGIN gives it"
    );
    for (line, plugin) in [
        ("wsgi-file = a.py", "python3"),
        ("module = a:app", "python3"),
        ("rack = a.ru", "rack"),
        ("lua = a.lua", "lua"),
        ("http = :80", "http"),
        ("plugin = router_http\nhttps = :443,a,b", "http"),
        ("fastrouter = :80", "fastrouter"),
        ("plugins = http,psgi\nwsgi-file = a.py", "python3"),
        ("pivot_root = /ns /ns/old\nplugin-dir = /x\npsgi = a", "psgi"),
    ] {
        let found = without_plugin(line, &["/usr/lib/uwsgi/plugins", "/ns/usr/lib/uwsgi/plugins"]);
        assert!(found.contains(&format!("add plugin = {plugin},")), "{line}: {found}");
    }
    for line in [
        "plugin = psgi\npsgi = a",
        "plugins = http,python3\nmodule = a:app",
        "need-plugin = /usr/lib/uwsgi/plugins/python311_plugin.so\nwsgi-file = a.py",
        "autoload = true\npsgi = a",
        "binary-path = /usr/bin/uwsgi_psgi\npsgi = a",
        "binary-path = /venv/bin/uwsgi\nwsgi-file = a.py",
        "module = shop\nplugin = psgi\npsgi = /srv/%(module).psgi",
        "chroot = /ns\npsgi = a",
        "http-socket = :80",
    ] {
        assert_eq!(without_plugin(line, DEBIAN), "", "{line}");
    }
    // One of pip's, built with its language.
    assert_eq!(without_plugin("wsgi-file = a.py", &["/usr/lib/uwsgi/plugins", "/usr/local/bin/uwsgi"]), "");
    assert_eq!(without_plugin("wsgi-file = a.py", &[]), "");
}

#[test]
fn lines_that_do_not_go_on() {
    trap(
        "plugins = psgi,\\\n",
        "
shop.ini:4:16: warning: lines are not continued: the backslash is a part of the value [not-continued]
  | plugins = psgi,\\
  |                ^
  = hint: write it in one line",
    );
}

#[test]
fn logic_inside_logic() {
    // Where the outer condition holds, uWSGI ends.
    trap(
        "if-env = HOME\nif-exists = /x\nsocket = /s\nendif =\nendif =",
        "
shop.ini:5:1: error: logic inside logic: uWSGI stops here [nested-logic]
  | if-exists = /x
  | ^^^^^^^^^
  = hint: close the if-env of line 4 with endif first
shop.ini:8:1: warning: closes nothing: no if or for is open here [stray-logic]
  | endif =
  | ^^^^^",
    );
    // Where it does not, it goes on, and otherwise than it looks.
    trap(
        "if-env = NOPE\nfor = a b\nsocket = /%(_)\nendfor =\nhttp-socket = :80\nendif =",
        "
shop.ini:5:1: warning: is skipped with the if-env of line 4, and its endfor ends that one: uWSGI does not nest, so the lines after the endfor always count [nested-logic]
  | for = a b
  | ^^^
  = hint: close the if-env of line 4 with endif first
shop.ini:9:1: warning: closes nothing: no if or for is open here [stray-logic]
  | endif =
  | ^^^^^",
    );
}

#[test]
fn placeholders_that_nothing_fills() {
    trap(
        "chdir = $(hmoe)/shop",
        "
shop.ini:4:9: warning: there is no hmoe in the environment: $(hmoe) stays as it is [unknown-placeholder]
  | chdir = $(hmoe)/shop
  |         ^^^^^^^
  = hint: did you mean $(HOME)?",
    );
    trap(
        "chdir = /srv/$(CUSTOMER)",
        "
shop.ini:4:14: warning: there is no CUSTOMER in the environment: $(CUSTOMER) stays as it is [unknown-placeholder]
  | chdir = /srv/$(CUSTOMER)
  |              ^^^^^^^^^^^
  = hint: set it in the daemon's environment; the one of this check may be another",
    );
    trap(
        "chdir = /srv/%(ui)",
        "
shop.ini:4:14: warning: nothing is named ui: %(ui) stays as it is [unknown-placeholder]
  | chdir = /srv/%(ui)
  |              ^^^^^
  = hint: did you mean %(uid)?",
    );
    trap(
        "chdir = /srv/%(customer)",
        "
shop.ini:4:14: warning: nothing is named customer: %(customer) stays as it is [unknown-placeholder]
  | chdir = /srv/%(customer)
  |              ^^^^^^^^^^^",
    );
    trap("exec-as-user = touch $(date)\nlog-format = %(addr) %(method)\nchdir = $(NOPE:-/srv)", "");
}

#[test]
fn mounts_that_end_with_a_reload() {
    trap(
        "if-not-reload =\nexec-as-user = fuse-zip a /app\nendif =\nexec-as-user-atexit = fusermount -u /app",
        "
shop.ini:7:1: warning: uWSGI runs this on a reload too, and what if-not-reload mounts stays unmounted; liege runs it at the end only [unmounted-on-reload]
  | exec-as-user-atexit = fusermount -u /app
  | ^^^^^^^^^^^^^^^^^^^
  = hint: keep it if the file is for liege alone; for uWSGI remove it: the mount ends with the namespace",
    );
}

#[test]
fn a_root_or_a_namespace_without_proc() {
    trap(
        "pivot_root = /ns/shop /ns/shop/old",
        "
shop.ini:4:1: warning: nothing mounts /proc in /ns/shop: ps, java, go and many others fail without it [no-proc]
  | pivot_root = /ns/shop /ns/shop/old
  | ^^^^^^^^^^
  = hint: add hook-as-root = mount:proc none /proc",
    );
    trap("chroot = /ns/shop\nhook-as-root = mount:proc none /proc", "");
    trap("pivot_root = /ns /ns/old\nhook-pre-jail = mount:none / /ns bind,rec", "");
    trap(
        "vassal-proc = false",
        "
shop.ini:4:1: warning: keeps the host's /proc in a pid namespace: the vassal sees the host's processes, under other numbers than its own [no-proc]
  | vassal-proc = false
  | ^^^^^^^^^^^
  = hint: remove the line",
    );
    trap("vassal-proc = false\nexec-as-root = mount -t proc none /proc", "");
}

#[test]
fn mounts_that_only_somebody_else_may_enter() {
    trap(
        "hook-pre-jail = exec:unionfs-fuse /a=RW:/b=RO /app\nmountpoint-check = /app",
        "
shop.ini:4:1: warning: unionfs-fuse mounts this for root alone: the app, which runs as shop, may not enter, and uWSGI's own check as shop would always find it well [others-mount]
  | hook-pre-jail = exec:unionfs-fuse /a=RW:/b=RO /app
  | ^^^^^^^^^^^^^
  = hint: add -o allow_other, or mount it as the app's user (exec-as-user)",
    );
    trap("hook-pre-jail = exec:unionfs-fuse -o allow_other /a=RW:/b=RO /app", "");
    trap("exec-as-user = /usr/bin/fuse-zip /a /app", "");
    let root = shown(&vassal("[uwsgi]\nuid = 0\ngid = 0\nexec-as-root = su shop -c 'fuse-zip a /app'\n"));
    assert!(root.contains("mounts this for another user alone: the app, which runs as root, may not enter"), "{root}");
    let patched = "exec-as-user = fuse-zip a /app\nprivileged-binary-patch-arg = /app/run";
    let patched = shown(&vassal(&format!("[uwsgi]\nuid = shop\ngid = shop\n{patched}\n")));
    assert!(patched.contains("for shop alone: the app, which runs as root"), "{patched}");
}

#[test]
fn checks_of_paths_where_nothing_is_mounted() {
    let found = |lines: &str| {
        let text = format!("[vassal]\nuid = shop\ngid = shop\ncommand = x\n{lines}\n");
        let source = Source::new("shop.ini", text.as_bytes());
        let config = read_vassal(&source, &world()).value.expect("it can be used");
        shown(&checks_of_nothing(&source, &config, &|path| path == "/nfs"))
    };
    let below = "
shop.ini:6:1: warning: nothing is mounted at /p, but line 5 names /p/m below it [nothing-mounted]
  | mountpoint-check = /p
  | ^^^^^^^^^^^^^^^^
  = hint: write mountpoint-check = /p/m";
    assert_eq!(found("exec-as-user = fuse-zip -r /a.zip /p/m\nmountpoint-check = /p"), below.trim_matches('\n'));
    let archive_below = found("exec-as-user = fuse-zip -r /p/a.zip /p/m\nmountpoint-check = /p");
    assert!(archive_below.contains("names /p/m below it"), "{archive_below}");
    let disk = found("exec-as-user = fuse-zip -r /nfs/a.zip /nfs/m\nmountpoint-check = /nfs");
    assert!(disk.contains("watches the mount of this machine at /nfs, and line 5 names /nfs/m below it"), "{disk}");
    assert!(disk.contains("write mountpoint-check = /nfs/m"), "{disk}");
    let on_a_disk = found("mountpoint-check = /nfs/data");
    assert!(
        on_a_disk.contains("the mount it lies on is watched: if that is meant, write mountpoint-check = /nfs"),
        "{on_a_disk}"
    );
    let in_a_root = found("hook-as-root = mount:tmpfs none /root/p/m\nmountpoint-check = /p\nchroot = /root");
    assert!(in_a_root.contains("names /p/m below it"), "{in_a_root}");
    let plain = "
shop.ini:5:1: warning: no line of this file mounts anything at /srv/data, and no mount point is there on this machine [nothing-mounted]
  | mountpoint-check = /srv/data
  | ^^^^^^^^^^^^^^^^
  = hint: a plain directory is shown as not mounted: remove the line, or mount what it is to watch";
    assert_eq!(found("mountpoint-check = /srv/data"), plain.trim_matches('\n'));
    let before_the_root = "
shop.ini:6:1: warning: watches /ufs, which is / after the change of root [nothing-mounted]
  | mountpoint-check = /ufs
  | ^^^^^^^^^^^^^^^^
  = hint: write mountpoint-check = /";
    for root in ["pivot_root = /ufs /ufs/old", "chroot = /ufs"] {
        let lines = format!("hook-pre-jail = exec:unionfs-fuse /a /ufs\nmountpoint-check = /ufs\n{root}");
        assert_eq!(found(&lines), before_the_root.trim_matches('\n'));
    }
    for good in [
        "exec-as-user = fuse-zip -r /a.zip /root/p\nchroot = /root\nmountpoint-check = /root/p",
        "mountpoint-check = /nfs",
        "mountpoint-check = /",
        "exec-as-user = fuse-zip -r /a.zip /p\nmountpoint-check = /p",
        "exec-as-user = fuse-zip -r /a.zip /p/\nmountpoint-check = /p/inside",
        "hook-pre-jail = mount:tmpfs none /root/p\nchroot = /root\nmountpoint-check = /p",
        "exec-as-root = /usr/local/bin/mounts-all\nmountpoint-check = /p",
        "attach-daemon = fuse-zip -f /a.zip /p\nmountpoint-check = /p",
        "pivot_root = /ufs /ufs/old\nmountpoint-check = /p",
    ] {
        assert_eq!(found(good), "", "{good}");
    }
}

#[test]
fn layers_that_end_with_the_old_root() {
    let found = |lines: &str, mounted: &str| {
        let text = format!("[vassal]\nuid = shop\ngid = shop\ncommand = x\npivot_root = /ufs /ufs/.old_root\n{lines}\n");
        let source = Source::new("shop.ini", text.as_bytes());
        let config = read_vassal(&source, &world()).value.expect("it can be used");
        shown(&layers_taken_away(&source, &config, &|path| path == mounted))
    };
    let union = "hook-pre-jail = exec:unionfs-fuse -ocow,chroot=/ns,allow_other /precise=RO:/cow/shop=RW /ufs";
    let gone = format!("{union}\nhook-as-root = umount:/.old_root rec,detach");
    let meant = "
shop.ini:6:1: warning: the layer /ns/precise is a mount of its own: umount:/.old_root in line 7 takes it away, and the union loses it [layer-taken-away]
  | hook-pre-jail = exec:unionfs-fuse -ocow,chroot=/ns,allow_other /precise=RO:/cow/shop=RW /ufs
  | ^^^^^^^^^^^^^
  = hint: keep the layer on the file system of the directory it lies in, or use an overlay, which holds its layers";
    assert_eq!(found(&gone, "/ns/precise"), meant.trim_matches('\n'));
    assert_eq!(found(&gone, "/elsewhere"), "", "plain directories are safe");
    let deeper = gone.replace("/precise=", "/disk/precise=");
    assert!(
        found(&deeper, "/ns/disk").contains("the layer /ns/disk/precise lies on the mount /ns/disk:"),
        "{}",
        found(&deeper, "/ns/disk")
    );
    assert_eq!(found(&gone.replace("chroot=/ns", "chroot=/a/ns"), "/a"), "", "what the union stands on it keeps");
    assert_eq!(found(&gone, "/ns"), "", "the root of its daemon too");
    assert_eq!(found(union, "/ns/precise"), "", "the old root stays");
    // The target of a command is no layer, nor is what lies below the new root.
    let target = gone.replace(" /ufs\n", " /mnt/target 2>/dev/null && mount --bind /mnt/target /ufs\n");
    assert_eq!(found(&target, "/ns/mnt/target"), "");
    assert!(found(&target, "/ns/precise").contains("the layer /ns/precise is a mount"), "{}", found(&target, "/ns/precise"));
    let inside = gone.replace("/precise=RO:", "/ufs/below=RO:").replace("chroot=/ns,", "");
    assert_eq!(found(&inside, "/ufs/below"), "");
    // bindfs holds the directory it shows.
    let bindfs = "hook-pre-jail = exec:bindfs -o allow_other /srv/a /ufs/bnd\nhook-as-root = umount:/.old_root rec,detach";
    for mounted in ["/srv/a", "/srv", "/ufs/bnd", "/ufs"] {
        assert_eq!(found(bindfs, mounted), "", "{mounted}");
    }
    assert_eq!(found(&bindfs.replace("bindfs", "unionfs-fuse"), "/ufs/bnd"), "");
    let overlay = "hook-pre-jail = exec:mount -t overlay none /ufs -o lowerdir=/ns/precise,upperdir=/u,workdir=/w";
    assert_eq!(found(&format!("{overlay}\nhook-as-root = umount:/.old_root rec,detach"), "/ns/precise"), "");
}

#[test]
fn lines_that_a_later_one_takes_the_place_of() {
    trap(
        "stop-timeout = 5\nstop-timeout = 10",
        "
shop.ini:4:1: warning: has no effect: the last stop-timeout counts, that of line 5 [duplicate]
  | stop-timeout = 5
  | ^^^^^^^^^^^^
  = hint: keep one of them",
    );
    // A placeholder is the first of them: the two are not the same then.
    let found = vassal("[uwsgi]\nuid = root\nuid = shop\ngid = shop\nchdir = /srv/%(uid)\n");
    assert!(shown(&found).contains("counts, that of line 3, but %(uid) is the first [duplicate]"), "{}", shown(&found));
    trap("plugin = a\nplugin = b\nmountpoint-check = /a\nmountpoint-check = /b\nuid = shop", "");
    trap("if-reload =\nchdir = /a\nendif =\nif-not-reload =\nchdir = /b\nendif =", "");
    // What an included file says is meant to be said better.
    assert_eq!(shown(&vassal("[uwsgi]\ninclude = base.ini\nuid = shop\ngid = shop\n")), "");
}

#[test]
fn root_because_nobody_said_otherwise_and_lines_without_an_equals_sign() {
    let meant = "
shop.ini:2:1: warning: there is no = in this line: it is a name that nothing asks for [missing-equal]
  | uid www-data
  | ^^^^^^^^^^^^
  = hint: write uid = www-data
shop.ini: warning: runs as root: no uid is given [runs-as-root]
  = hint: add uid = NAME and gid = NAME";
    assert_eq!(shown(&vassal("[uwsgi]\nuid www-data\nno-new-privs\n")), meant.trim_matches('\n'));
}

#[test]
fn capabilities_without_what_fusermount_needs() {
    let found = emperor("[uwsgi]\nemperor = /v\nemperor-use-clone = fs,pid\nemperor-cap = setuid,setgid\n");
    let meant = "
emperor.ini:4:1: warning: without sys_admin no vassal can mount: neither mount hooks and pivot_root, nor fusermount [too-few-capabilities]
  | emperor-cap = setuid,setgid
  | ^^^^^^^^^^^
  = hint: add sys_admin where vassals have FUSE mounts";
    assert_eq!(shown(&found), meant.trim_matches('\n'));
}

#[test]
fn emperors_that_share_their_mounts_or_their_proc() {
    let found = emperor("[uwsgi]\nemperor = /v\n");
    let codes = |found: &[Diagnostic]| found.iter().map(|d| format!("{}:{}", d.line, d.code)).collect::<Vec<_>>();
    assert_eq!(codes(&found), ["0:shared-mounts"]);
    let found = emperor("[uwsgi]\nemperor = /v\nemperor-use-clone = pid\n");
    assert_eq!(codes(&found), ["3:shared-mounts", "3:no-proc"]);
    let meant = "
emperor.ini:3:1: warning: a pid namespace without fs keeps the host's /proc: vassals see its processes, under other numbers than their own [no-proc]
  | emperor-use-clone = pid
  | ^^^^^^^^^^^^^^^^^
  = hint: add fs: then each vassal gets a /proc of its own";
    assert_eq!(found[1].to_string(), meant.trim_matches('\n'));
}

#[test]
fn what_liege_refuses() {
    trap(
        "namespace = /ns/shop",
        "
shop.ini:4:1: error: namespace is not supported: it would make a second jail inside the first, whose hooks liege has run by then [not-supported]
  | namespace = /ns/shop
  | ^^^^^^^^^
  = hint: emperor-use-clone = fs,pid,ipc,uts and pivot_root = NEW OLD (or chroot) make the same jail",
    );
    trap(
        "mountpoint-chek = /app",
        "
shop.ini:4:1: warning: mountpoint-chek is no option: it is kept as a placeholder that nothing asks for [unknown-option]
  | mountpoint-chek = /app
  | ^^^^^^^^^^^^^^^
  = hint: did you mean mountpoint-check?",
    );
}

#[test]
fn no_trap_is_an_error() {
    for text in ["plugins = a\\", "chdir = $(NOPE)", "vassal-proc = no", "chroot = /x", "stop-timeout = 1\nstop-timeout = 2"] {
        let found = vassal(&format!("[uwsgi]\nuid = shop\ngid = shop\n{text}\n"));
        assert!(!found.is_empty() && found.iter().all(|d| d.severity == Severity::Warning), "{text}: {found:#?}");
    }
}
