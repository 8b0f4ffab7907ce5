//! The seed's emperor file as it stands in the tutorial, `/etc/uwsgi/vassals` and all. The story's host gets an `/etc` of its own
//! on top of the machine's, so nothing has to exist there, and nothing stays.

use std::fs;

use liege_integration_tests::apps::ZipApp;
use liege_integration_tests::{LONG, served, story};
use nix::mount::{MsFlags, mount, umount};

const SEED: &str = "\
[uwsgi]
emperor = /etc/uwsgi/vassals
emperor-use-clone = fs,pid
";

#[test]
fn the_seed_emperor_file_runs_verbatim() {
    story(|host| {
        // On a tmpfs: the machine's own root may be an overlay already, which cannot be written through twice.
        let own = host.open_dir("own");
        mount(Some("own"), &own, Some("tmpfs"), MsFlags::empty(), None::<&str>).expect("a tmpfs");
        let (upper, work) = (own.join("upper"), own.join("work"));
        for dir in [&upper, &work] {
            fs::create_dir(dir).unwrap();
        }
        let layers = format!("lowerdir=/etc,upperdir={},workdir={}", upper.display(), work.display());
        mount(Some("etc"), "/etc", Some("overlay"), MsFlags::empty(), Some(layers.as_str())).expect("an overlay on /etc");
        fs::create_dir_all("/etc/uwsgi/vassals").unwrap();
        // Its logs are where nobody has said otherwise.
        mount(Some("logs"), "/var/log", Some("tmpfs"), MsFlags::empty(), None::<&str>).expect("a tmpfs");
        let ini = host.path("emperor.ini");
        fs::write(&ini, SEED).unwrap();

        let app = ZipApp::new(host, "app", "from the zip");
        let emperor = host.emperor().only_my_arguments("/etc/uwsgi/vassals".as_ref()).arg("--ini").arg(&ini).start();
        emperor.write("app001.ini", &app.unchecked());
        served(app.port, "from the zip", LONG);
        assert!(emperor.vassal("app001.ini").mount(&app.mount).is_some());
        assert!(!host.mountinfo().contains("fuse-zip"), "{}", host.mountinfo());
        assert!(fs::read_to_string("/var/log/liege/app001.ini/log").unwrap().contains("app: *** Starting uWSGI"));
        emperor.put_to_rest();
        umount("/var/log").expect("nobody holds the story's logs");
        umount("/etc").expect("nobody holds the story's /etc");
        umount(&own).expect("nobody holds what was below it");
    });
}
