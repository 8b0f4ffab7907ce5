//! What a file of a tenant makes the daemon read is bounded, in memory and in time: it is told as a mistake, at its place, and the
//! neighbours are served meanwhile.

use std::fs::{self, File};

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::{Emperor, LONG, SHORT, story, wait_until};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Of a release build; eight files are read at once at most.
const MOST_MEMORY: u64 = 200 << 20;

/// The most memory the daemon ever had, in bytes.
fn most_memory(emperor: &Emperor) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", emperor.pid)).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[test]
fn what_a_file_makes_the_daemon_read_is_bounded() {
    story(|host| {
        let tree = host.open_dir("tree");
        mount(Some("tree"), &tree, Some("tmpfs"), MsFlags::empty(), Some("size=1g,nr_inodes=400k")).unwrap();
        for directory in 0..300 {
            let directory = tree.join(format!("d{directory}"));
            fs::create_dir(&directory).unwrap();
            (0..1000).for_each(|file| drop(File::create(directory.join(format!("f{file}"))).unwrap()));
        }
        let reporter = Reporter::new(host, "neighbour");
        let emperor = host.emperor().start();
        emperor.write("good.ini", &reporter.vassal("uid = root\n"));
        let _first = reporter.started(1);

        let head = "[vassal]\nuid = root\n";
        let glob = |pattern: &str| {
            format!("{head}for-glob = {}/{pattern}\nenv = A%(_)=b\nendfor =\ncommand = /bin/sleep 1\n", tree.display())
        };
        let keys: String = (0..500_000).map(|key| format!("k{key:x}=\n")).collect();
        let wild = [
            ("all.ini", glob("*/*")),
            ("none.ini", glob("*/nothing*")),
            ("keys.ini", format!("{head}{keys}")),
            ("zero.ini", format!("{head}command = /bin/echo @(/dev/zero)\n")),
            ("random.ini", format!("{head}include = /dev/urandom.ini\ninherit = /dev/urandom\ncommand = /bin/sleep 1\n")),
        ];
        for (name, text) in &wild {
            emperor.write(name, text);
        }
        // Read as it was written, while the others are.
        emperor.touch("good.ini");
        wait_until("the neighbour's reload", SHORT, || reporter.starts().len() >= 2);
        for (name, _) in &wild {
            emperor.wait_log_from(0, &[name, "its file cannot be used"]);
        }
        let lines = emperor.log();
        let places = ["all.ini:3:", "none.ini:3:", "keys.ini:", "zero.ini:3:", "random.ini:3:"];
        wait_until("each mistake at its place", LONG, || {
            let lines = emperor.log();
            places.iter().all(|place| lines.iter().any(|line| line.contains(place) && line.contains("error")))
        });
        assert!(lines.len() < 2000, "{} lines", lines.len());
        let memory = most_memory(&emperor);
        println!("at most {} MiB", memory >> 20);
        assert!(memory < MOST_MEMORY, "{} MiB", memory >> 20);

        for (name, _) in &wild {
            emperor.remove(name);
        }
        umount2(&tree, MntFlags::MNT_DETACH).unwrap();
    });
}
