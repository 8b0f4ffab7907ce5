//! `emperor-pidfile` may lie where others write: a link in its place is replaced and not followed, a file of somebody else's is
//! refused, and whoever finds the file finds a daemon that answers.

use std::fs;
use std::os::unix::fs::{chown, symlink};

use liege_integration_tests::tools::run_liege;
use liege_integration_tests::{SHORT, story, wait_until};

#[test]
fn the_pidfile_follows_nothing() {
    story(|host| {
        let (path, victim) = (host.open_dir("pids").join("liege.pid"), host.path("victim"));
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, &path).unwrap();
        let emperor = host.emperor().arg("--emperor-pidfile").arg(&path).start_unheard();
        wait_until("the pidfile", SHORT, || fs::symlink_metadata(&path).is_ok_and(|found| found.is_file()));
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", emperor.pid));
        let (status, said) = run_liege(&["status", "--control", emperor.control.to_str().unwrap()]);
        assert_eq!(status, 0, "{said}");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        emperor.put_to_rest();
        assert!(fs::symlink_metadata(&path).is_err() && victim.exists());
    });
}

#[test]
fn a_file_of_somebody_elses_is_refused() {
    story(|host| {
        let path = host.open_dir("pids").join("liege.pid");
        fs::write(&path, "1\n").unwrap();
        chown(&path, Some(12345), None).unwrap();
        let emperor = host.emperor().arg("--emperor-pidfile").arg(&path).start_unheard();
        let status = emperor.wait_exit(SHORT);
        assert_eq!(status.code(), Some(1));
        emperor.wait_log("a file of uid 12345 is there");
        assert_eq!(fs::read_to_string(&path).unwrap(), "1\n");
    });
}
