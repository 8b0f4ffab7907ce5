//! Ending a tree of processes without a pid namespace.
#![allow(missing_docs)]

mod jail;

use jail::Jail;
use liege_sys::{clone::Namespaces, descendants, pidfd};

#[test]
fn a_tree_is_found_and_killed_to_its_last_leaf() {
    let mut jail = Jail::bare(Namespaces::default());
    // Three generations, one of them in a session of its own; each says that it is there.
    jail.told("sh -c 'sleep infinity & setsid sh -c \"sleep infinity & echo there; wait\" & wait' &");
    assert_eq!(jail.says(), "there");
    let root = [jail.child.pid];
    let mut tree = descendants::tree(&root);
    // dash may fork or exec for the last command of a list; the leaves are what counts.
    assert!(tree.len() >= 4, "{tree:?}");
    assert_eq!(descendants::children_of(root[0]), [tree[0]]);
    let fds: Vec<_> = tree.drain(..).map(|pid| pidfd::open(pid).unwrap()).collect();
    assert!(descendants::kill_below(&root) >= 4);
    for fd in fds {
        use std::os::fd::AsFd;
        let interest = liege_sys::poll::Interest::readable(fd.as_fd());
        assert_eq!(liege_sys::poll::poll(&[interest], Some(jail::PATIENCE)).unwrap(), [true]);
    }
    jail.does("true"); // the root itself lives
}
