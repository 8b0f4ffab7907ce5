//! Copy on write: what an app creates, changes and removes is found in its customer's layer and nowhere else; the shared root stays
//! what it was, and outlives the vassal unchanged, as the layer does.
//!
//! unionfs-fuse copies only upwards: a file of the root can be changed where the layer is named before it. The seed names it behind,
//! so there new files are all an app can make, under any supervisor.

use std::fs;

use liege_integration_tests::cow::{Customer, Ns, USERS, tree};
use liege_integration_tests::{LONG, served, story, wait_until};

#[test]
fn what_the_app_creates_lands_in_its_own_layer() {
    story(|host| {
        let ns = Ns::new(host);
        let root = ns.rootfs("precise");
        let (writer, other) = (ns.customer("precise", USERS[0]), ns.customer("precise", USERS[1]));
        let before = tree(&root);
        let emperor = host.emperor().plugins_are_named().start();
        for customer in [&writer, &other] {
            emperor.write(&file(customer), &customer.vassal());
        }
        for customer in [&writer, &other] {
            served(customer.port, "page of precise", LONG);
        }

        writer.tell("/append/srv/data/new.txt");
        assert_eq!(writer.tell("/read/srv/data/new.txt"), "by uid 33\n");
        assert_eq!(writer.written(), ["srv/data/new.txt"], "exactly what it wrote, in its own layer");
        assert_eq!(fs::read_to_string(writer.layer.join("srv/data/new.txt")).unwrap(), "by uid 33\n");

        assert_eq!(other.ask("/read/srv/data/new.txt"), None, "the other customer has no such file");
        assert!(other.written().is_empty(), "{:?}", other.written());
        assert!(!fs::exists("/srv/data/new.txt").unwrap(), "nor has the host");
        assert_eq!(writer.ask("/append/srv/data/shared.txt"), None, "the layer stands behind the root: {:?}", writer.written());
        assert_eq!(tree(&root), before, "the shared root was touched");
    });
}

#[test]
fn what_the_app_changes_and_removes_lands_in_its_own_layer() {
    story(|host| {
        let ns = Ns::new(host);
        let root = ns.rootfs("precise");
        let (writer, other) = (ns.customer("precise", USERS[0]), ns.customer("precise", USERS[1]));
        let before = tree(&root);
        let emperor = host.emperor().plugins_are_named().start();
        for customer in [&writer, &other] {
            emperor.write(&file(customer), &customer.layer_first());
        }
        for customer in [&writer, &other] {
            served(customer.port, "page of precise", LONG);
        }

        writer.tell("/append/srv/data/shared.txt");
        writer.tell("/unlink/srv/data/doomed.txt");
        let changed =
            |customer: &Customer| (customer.ask("/read/srv/data/shared.txt"), customer.ask("/read/srv/data/doomed.txt"));
        let mine = (Some("from the root\nby uid 33\n".to_owned()), None);
        assert_eq!(changed(&writer), mine);
        assert_eq!(
            changed(&other),
            (Some("from the root\n".into()), Some("from the root\n".into())),
            "the other one sees the root's"
        );
        assert_eq!(writer.written(), ["srv/data/shared.txt"]);
        assert!(other.written().is_empty(), "{:?}", other.written());

        // Gone and back: the layer is what lasts.
        let vassal = emperor.vassal(&file(&writer));
        let processes = vassal.processes();
        emperor.remove(&file(&writer));
        wait_until("the vassal to be gone", LONG, || vassal.is_gone(&processes));
        emperor.write(&file(&writer), &writer.layer_first());
        served(writer.port, "page of precise", LONG);
        assert_eq!(changed(&writer), mine);
        assert_eq!(tree(&root), before, "the shared root was touched");
    });
}

fn file(customer: &Customer) -> String {
    format!("{}.ini", customer.user)
}
