//! Files of one tenant that do not answer, or answer late, delay no reading of a neighbour's file: no order, no edit.

use std::fs;
use std::os::unix::fs::{lchown, symlink};

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::remote::Remote;
use liege_integration_tests::{Emperor, LONG, story, wait_until};
use nix::sys::signal::Signal;

const TENANT: u32 = 60_011;

/// More than the daemon reads at once, and fewer than one tenant may let hang.
const FILES: usize = 24;

/// The links are touched, so that all the tenant's files are looked at, and do not answer.
fn touch_links(emperor: &Emperor, owner: u32) {
    for number in 0..FILES {
        lchown(emperor.file(&format!("t{number}.ini")), Some(owner), Some(owner)).unwrap();
    }
}

fn tell(links_owner: u32) {
    story(|host| {
        let neighbour = Reporter::new(host, "neighbour");
        let remote = Remote::new(host);
        let emperor = host.emperor().arg("--emperor-freq").arg("1").start();
        for number in 0..FILES {
            let file = remote.at.join(format!("t{number}.ini"));
            fs::write(&file, "[vassal]\nuid = nobody\ncommand = /bin/sleep 100000\n").unwrap();
            symlink(file, emperor.file(&format!("t{number}.ini"))).unwrap();
        }
        touch_links(&emperor, links_owner);
        emperor.write("neighbour.ini", &neighbour.vassal("env = WORD=one\n"));
        for number in 0..FILES {
            emperor.wait_log(&format!("t{number}.ini: started"));
        }
        let _ = neighbour.started(1);

        remote.daemon.kill(Signal::SIGSTOP);
        touch_links(&emperor, links_owner);
        let mark = emperor.mark();
        emperor.ask_well(&["reload", "neighbour"]);
        // Again, with all of them late.
        emperor.wait_log_from(mark, &["t0.ini cannot be read for "]);
        touch_links(&emperor, links_owner);
        emperor.ask_well(&["reload", "neighbour"]);
        emperor.write("neighbour.ini", &neighbour.vassal("env = WORD=two\n"));
        wait_until("a start with the neighbour's new file", LONG, || {
            neighbour.starts().last().is_some_and(|start| start["environment"]["WORD"] == "two")
        });
        remote.daemon.kill(Signal::SIGCONT);
    });
}

#[test]
fn a_tenants_links_that_hang_delay_no_neighbour() {
    tell(TENANT);
}

#[test]
fn links_of_roots_to_a_tenants_files_that_hang_delay_no_neighbour() {
    tell(0);
}

/// The daemon of a tenant's FUSE says whose its files are.
#[test]
fn files_that_a_tenant_says_are_a_neighbours_count_for_their_file_system() {
    const NEIGHBOUR: u32 = 60_012;
    /// More than may hang for one owner.
    const MANY: usize = 40;
    story(|host| {
        let neighbour = Reporter::new(host, "neighbour");
        let remote = Remote::with(host, 10_000, &[&format!("--force-user={NEIGHBOUR}")]);
        let emperor = host.emperor().arg("--emperor-freq").arg("3600").start();
        for number in 0..MANY {
            let file = remote.at.join(format!("t{number}.ini"));
            fs::write(&file, "[vassal]\nuid = nobody\ncommand = /bin/sleep 100000\n").unwrap();
            symlink(file, emperor.file(&format!("t{number}.ini"))).unwrap();
        }
        emperor.write("neighbour.ini", &neighbour.vassal(""));
        lchown(emperor.file("neighbour.ini"), Some(NEIGHBOUR), Some(NEIGHBOUR)).unwrap();
        for number in 0..MANY {
            emperor.wait_log(&format!("t{number}.ini: started"));
        }
        let _ = neighbour.started(1);

        // Whose they are is remembered by the kernel, and what they say is asked for in vain.
        remote.daemon.kill(Signal::SIGSTOP);
        let mark = emperor.mark();
        emperor.signal(Signal::SIGHUP);
        emperor.wait_log_from(mark, &["32 readings of files on the file system ", "hang"]);
        emperor.ask_well(&["reload", "neighbour"]);
        remote.daemon.kill(Signal::SIGCONT);
    });
}
