//! The kernel's overlay instead of unionfs-fuse: the sample's vassal, with its paths altered, on the machine's own root as the shared
//! one. What it writes is in its layer and nowhere else, and a changed app line replaces the app in the kept mounts.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use liege_integration_tests::apps::USER;
use liege_integration_tests::http::free_port;
use liege_integration_tests::{Host, LONG, get_ok, served, story, wait_until};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Says who it is, and writes down that it was asked.
const PSGI: &str = r#"my $app = sub {
    open(my $file, '>>', "/data/asked") or return [503, [], ["/data/asked: $!\n"]];
    print $file "$ENV{CUSTOMER}\n";
    open(my $hosts, '<', "/etc/hosts") or return [503, [], ["/etc/hosts: $!\n"]];
    return [200, ['Content-Type' => 'text/plain'], ["$ENV{CUSTOMER}: ", grep { /customer/ } <$hosts>]];
};
"#;

/// One customer's layer.
struct Layer {
    dir: PathBuf,
    port: u16,
}

impl Layer {
    fn new(cow: &Path, name: &str) -> Self {
        let dir = cow.join(name);
        for place in ["upper/.old_root", "upper/data", "upper/var/www", "work"] {
            fs::create_dir_all(dir.join(place)).unwrap();
        }
        fs::set_permissions(dir.join("upper/data"), fs::Permissions::from_mode(0o777)).unwrap();
        fs::write(dir.join("upper/var/www/myapp.pl"), PSGI).unwrap();
        Self { dir, port: free_port() }
    }

    /// The sample with names, paths and the port altered, and a line that changes a file of the shared root.
    fn vassal(&self, host: &Host) -> String {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/vassals/overlay-root.ini");
        let text = fs::read_to_string(sample).unwrap();
        assert!(text.contains(&format!("uid = {USER}")));
        text.replace("lowerdir=/ns/bookworm,", "lowerdir=/,")
            .replace("/ns/cow/%(uid)", &self.dir.display().to_string())
            .replace("/ufs", &host.path("ufs").display().to_string())
            .replace("127.0.0.1:9093", &format!("127.0.0.1:{}", self.port))
            .replace("hook-as-root = umount", "hook-as-root = append:/etc/hosts # of the customer\nhook-as-root = umount")
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.dir.join("upper").join(path)).unwrap_or_default()
    }
}

#[test]
fn an_overlay_is_as_good_a_root() {
    story(|host| {
        // Of their own file system: layers below the root they lie upon would be a loop.
        let (cow, none) = (host.path("cow"), None::<&str>);
        fs::create_dir(&cow).unwrap();
        fs::create_dir(host.path("ufs")).unwrap();
        mount(none, &cow, Some("tmpfs"), MsFlags::empty(), Some("mode=0755")).unwrap();
        let [one, other] = ["one", "other"].map(|name| Layer::new(&cow, name));
        let hosts = fs::read_to_string("/etc/hosts").unwrap();

        let emperor = host.emperor().start();
        let text = one.vassal(host);
        emperor.write("one.ini", &text);
        emperor.write("other.ini", &other.vassal(host).replace("hook-as-root = append", ";hook-as-root = append"));
        served(one.port, &format!("{USER}: # of the customer"), LONG);
        served(other.port, &format!("{USER}: "), LONG);
        assert!(one.read("data/asked").lines().all(|line| line == USER) && !one.read("data/asked").is_empty());
        assert!(one.read("etc/hosts").ends_with("# of the customer"), "changed in its own layer");
        assert_eq!(other.read("etc/hosts"), "", "in nobody else's");
        assert_eq!(fs::read_to_string("/etc/hosts").unwrap(), hosts, "nor in the shared root");
        assert!(!fs::exists("/data/asked").unwrap());

        let vassal = emperor.vassals().into_iter().find(|v| v.init.mountinfo().contains("/one/upper")).expect("its overlay");
        let root = vassal.mount(Path::new("/")).expect("a root");
        assert!(!vassal.init.mountinfo().contains(".old_root"), "nothing of the old root is left: {}", vassal.init.mountinfo());
        emperor.write("one.ini", &text.replace("CUSTOMER=%(uid)", "CUSTOMER=changed"));
        served(one.port, "changed: # of the customer", LONG);
        assert_eq!(vassal.mount(Path::new("/")), Some(root), "the same root");
        assert!(vassal.init.lives());

        emperor.remove("one.ini");
        emperor.remove("other.ini");
        wait_until("nothing to be left", LONG, || emperor.vassals().is_empty());
        assert!(get_ok(one.port, "/").is_none());
        umount2(&cow, MntFlags::empty()).unwrap();
    });
}

#[test]
fn a_layer_that_is_missing_is_named_with_its_line() {
    story(|host| {
        fs::create_dir(host.path("ufs")).unwrap();
        let layer = Layer { dir: host.path("missing"), port: free_port() };
        let emperor = host.emperor().start();
        let text = layer.vassal(host);
        emperor.write("one.ini", &text);
        let line = emperor.wait_cause(0, "one.ini", "hook_failed");
        let at = text.lines().position(|l| l.contains("mount:overlay")).unwrap() + 1;
        for word in ["mount overlay", "ENOENT", "missing", &format!("one.ini:{at}")] {
            assert!(line.contains(word), "{word:?} is not in: {line}");
        }
    });
}
