//! A file of root's goes through a tenant's tree: its names, its lines and its contents are values, whatever signs are in them. Nothing of
//! them is executed as root, and nothing of a neighbour's is read for them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use liege_integration_tests::apps::{Reporter, USER, own, user};
use liege_integration_tests::tools::run_liege;
use liege_integration_tests::{SHORT, story, wait_until};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

const SECRET: &str = "DB_PASSWORD=hunter2";

#[test]
fn what_a_tenant_names_is_never_expanded() {
    story(|host| {
        let (tree, mark) = (host.open_dir("tree"), host.path("executed"));
        own(&tree);
        // A name has no slash: a variable of the daemon's brings the path of what shall be made.
        let launch = host.emperor().env("MARK", &mark.display().to_string()).env("SLASH", "/");
        let emperor = launch.start();
        let secret = emperor.file("neighbour.secret");
        fs::write(&secret, SECRET).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        let theirs = |name: &str, text: &str| {
            let path = tree.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            own(path.parent().unwrap());
            own(&path);
        };
        let (run, steal) = (format!("@(exec://touch {})", mark.display()), format!("@({})", secret.display()));
        theirs("run/@(exec:/$(SLASH)touch $(MARK);#).conf", "");
        theirs("steal/@(neighbour.secret).conf", "");
        theirs("told/$(MARK) %n %(uid).conf", "");
        theirs("lines", &format!("{run}\n{steal}\n$(MARK)\n"));
        theirs("site", &run);
        theirs("more.ini", &format!("[vassal]\nenv = MORE={run}{steal}$(MARK)\n"));
        let at = |name: &str| tree.join(name).display().to_string();
        let looped = |word: &str, what: &str| format!("{what}\nenv = {word}=-%(_)\nendfor =\n");
        let app = Reporter::new(host, "app");
        let text = [
            format!("uid = {USER}\ngid = {USER}\n"),
            looped("RUN", &format!("for-glob = {}/*/*.conf", at("run"))),
            looped("STEAL", &format!("for-glob = {}/*.conf", at("steal"))),
            looped("TOLD", &format!("for-glob = {}/*.conf", at("told"))),
            looped("LINE", &format!("for-readline = {}", at("lines"))),
            format!("env = SITE=@({})\ninclude = {}\n", at("site"), at("more.ini")),
        ];
        emperor.write("shop.ini", &app.vassal(&text.concat()));
        let environment = app.started(1)["environment"].clone();
        // Of a `for` the last round's value stays.
        for (name, value) in [
            ("RUN", format!("-{}", at("run/@(exec:/$(SLASH)touch $(MARK);#).conf"))),
            ("STEAL", format!("-{}", at("steal/@(neighbour.secret).conf"))),
            ("TOLD", format!("-{}", at("told/$(MARK) %n %(uid).conf"))),
            ("LINE", "-$(MARK)".to_owned()),
            ("SITE", run.clone()),
            ("MORE", format!("{run}{steal}$(MARK)")),
        ] {
            assert_eq!(environment[name], value.as_str(), "{name}");
        }
        // Again, as a tenant has it done.
        emperor.ask_well(&["restart", "shop"]);
        let _second = app.started(2);
        let told = app.starts().iter().map(ToString::to_string).collect::<String>();
        assert!(!told.contains("hunter2"), "a neighbour's secret: {told}");
        assert!(!mark.exists(), "a tenant's text was executed");
    });
}

/// A uwsgi looks through its options once more, as root: what it is given it must take as it stands.
#[test]
fn a_uwsgi_expands_nothing_of_it_either() {
    story(|host| {
        let (site, mark) = (host.path("site"), host.path("executed"));
        let text = format!("@(exec://touch {}) $(PATH) %(nothing)", mark.display());
        fs::write(&site, &text).unwrap();
        own(&site);
        let emperor = host.emperor().start();
        let file = format!(
            "[uwsgi]\nmaster = true\nsocket = {}\nenv = SITE=@({})\nexec-post-app = echo \"SITE is $SITE\" $(echo for a shell)\n",
            host.path("socket").display(),
            site.display()
        );
        emperor.write("u.ini", &file);
        let said = emperor.wait_said("u.ini", "app: SITE is ");
        assert!(said.contains(&format!("SITE is {text} for a shell")), "{said}");
        assert!(!mark.exists(), "a tenant's text was executed");
    });
}

#[test]
fn a_command_in_a_file_that_others_may_write_is_a_mistake() {
    story(|host| {
        let mark = host.path("executed");
        let emperor = host.emperor().start();
        let file =
            format!("[vassal]\nuid = {USER}\ngid = {USER}\ncommand = sleep 1000\nenv = A=@(exec://touch {})\n", mark.display());
        emperor.write("theirs.tmp", &file);
        own(&emperor.file("theirs.tmp"));
        fs::rename(emperor.file("theirs.tmp"), emperor.file("theirs.ini")).unwrap();
        let log = emperor.mark();
        emperor.wait_log_from(0, &["theirs.ini", "its file cannot be used"]);
        let (status, said) = run_liege(&["check", &emperor.file("theirs.ini").display().to_string()]);
        assert!(status == 1 && said.contains("theirs.ini:5:9: error: exec:// is carried out only where"), "{said}");
        assert!(said.contains("hint: the file, and every directory on the way to it: chown root"), "{said}");
        assert!(!mark.exists(), "a tenant's command was executed");
        // Root's own is carried out.
        fs::write(emperor.file("own.ini"), file.replace(USER, "root")).unwrap();
        emperor.wait_log_from(log, &["own.ini: started"]);
        assert!(mark.exists(), "root's own command is carried out");
    });
}

/// A FUSE file system says of its files what its owner likes: that they are root's, and that only root may write them.
#[test]
fn a_mount_of_a_tenants_is_not_roots_whatever_it_says() {
    story(|host| {
        let (source, point, mark) = (host.open_dir("source"), host.open_dir("point"), host.path("executed"));
        own(&point);
        let secret = host.path("secret");
        fs::write(&secret, "A=hunter2\n").unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        symlink(&secret, source.join("secret")).unwrap();
        fs::write(source.join("more.ini"), format!("[vassal]\nenv = B=@(exec://touch {})\n", mark.display())).unwrap();
        // In the story's own mount namespace. Hosts have it where vassals share their mounts.
        let allowed = host.path("fuse.conf");
        fs::write(&allowed, "user_allow_other\n").unwrap();
        mount(Some(&allowed), "/etc/fuse.conf", None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
        let (uid, gid) = user();
        let mut theirs = Command::new("setpriv");
        theirs.args([&format!("--reuid={uid}"), &format!("--regid={gid}"), "--clear-groups", "bindfs", "-f"]);
        theirs.args(["-o", "allow_other", "--force-user=0", "--force-group=0"]).arg(&source).arg(&point);
        let mut theirs = theirs.spawn().expect("bindfs is installed: make deps");
        wait_until("the tenant's mount", SHORT, || point.join("secret").symlink_metadata().is_ok());

        let file = host.path("shop.ini");
        let at = point.display();
        let head = format!("[vassal]\nuid = {USER}\ngid = {USER}\ncommand = sleep 1000\n");
        fs::write(&file, format!("{head}env-file = {at}/secret\ninclude = {at}/more.ini\n")).unwrap();
        let (status, said) = run_liege(&["check", &file.display().to_string()]);
        umount2(&point, MntFlags::MNT_DETACH).unwrap();
        umount2("/etc/fuse.conf", MntFlags::MNT_DETACH).unwrap();
        theirs.wait().unwrap();
        assert!(status == 1 && said.contains(&format!("uid {uid} could lead it elsewhere")), "{said}");
        assert!(said.contains(&format!("others than root may write this file (uid {uid})")), "{said}");
        assert!(!mark.exists(), "a tenant's command was executed");
    });
}
