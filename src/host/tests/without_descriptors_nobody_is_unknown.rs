//! Without a descriptor no account and no directory can be asked: that is no answer, and not the answer that there is none.

use std::fs::File;

use liege_host::World;
use liege_spec::{Lookup, NoAnswer};
use nix::sys::resource::{Resource, setrlimit};

/// The only test of its process: what it takes from the process it takes from all.
#[test]
fn without_descriptors_nobody_is_unknown() {
    let world = World::alone();
    setrlimit(Resource::RLIMIT_NOFILE, 64, 64).unwrap();
    let mut all: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(!all.is_empty());
    let lack = || {
        NoAnswer::Lacking(
            "no descriptor is left in the daemon (LimitNOFILE of its unit, ulimit -n): EMFILE (Too many open files)".into(),
        )
    };
    assert_eq!(world.user("root"), Err(lack()));
    assert_eq!(world.user("no-such-user"), Err(lack()));
    assert_eq!(world.user("0"), Err(lack()));
    assert_eq!(world.group("root"), Err(lack()));
    assert_eq!(world.groups_of("root", 7), Err(lack()));
    assert_eq!(world.account(0), Err(lack()));
    assert_eq!(world.identity(0, 7, Some("root"), false, &[]), Err(lack()));
    assert_eq!(world.glob("/et[c]", 9), Err(lack()));
    assert!(world.kind("/etc").is_ok_and(|kind| kind.is_some()), "a look at a path needs none");
    all.pop();
    assert_eq!(world.user("root").map(|found| found.map(|(uid, ..)| uid)), Ok(Some(0)));
    assert_eq!(world.user("no-such-user"), Err(lack()), "one was lacking, perhaps, and there is none to ask anew");
    assert_eq!(world.glob("/et[c]", 9), Ok(vec!["/etc".to_owned()]));
    all.truncate(all.len() - 8);
    assert_eq!(world.user("no-such-user"), Ok(None));
    assert!(world.groups_of("root", 7).is_ok_and(|groups| groups.contains(&7)));
}
