//! Two customers on one root, a third on another, under one emperor: each sees its own processes, mounts and files only.

use liege_integration_tests::cow::{Ns, USERS};
use liege_integration_tests::{LONG, served, story};

#[test]
fn customers_of_one_root_do_not_see_each_other() {
    story(|host| {
        let ns = Ns::new(host);
        let _roots = (ns.rootfs("precise"), ns.rootfs("saucy"));
        let customers = [ns.customer("precise", USERS[0]), ns.customer("precise", USERS[1]), ns.customer("saucy", "games")];
        let emperor = host.emperor().plugins_are_named().start();
        for customer in &customers {
            emperor.write(&format!("{}.ini", customer.user), &customer.vassal());
        }
        for (customer, page) in customers.iter().zip(["page of precise", "page of precise", "page of saucy"]) {
            served(customer.port, page, LONG);
            customer.tell(&format!("/append/srv/data/{}", customer.user));
        }

        for customer in &customers {
            let seen = customer.tell("/processes");
            assert!(
                seen.contains("unionfs-fuse") && seen.contains(&format!("emperor://{}.ini", customer.user)),
                "itself: {seen}"
            );
            for other in customers.iter().filter(|other| other.user != customer.user) {
                assert!(!seen.contains(&format!("{}.ini", other.user)), "{} sees {}:\n{seen}", customer.user, other.user);
                assert_eq!(customer.ask(&format!("/read/srv/data/{}", other.user)), None, "a file of {}", other.user);
                // Nor by the way that leads around the union: the old root is gone.
                assert_eq!(customer.ask(&format!("/read{}/srv/data/{}", other.layer.display(), other.user)), None);
            }
            assert_eq!(customer.written(), [format!("srv/data/{}", customer.user)]);
            let table = customer.tell("/read/proc/self/mountinfo");
            assert_eq!(table.matches(" - fuse").count(), 1, "one union, its own:\n{table}");
        }
    });
}
