//! The union is the root of everything a vassal is, pid 1 included: it may die while the app is being replaced, again and again, or
//! together with the emperor, and each time all of the vassal goes and, where there is an emperor, comes back clean.

use liege_integration_tests::cow::{Customer, Ns, USERS};
use liege_integration_tests::{Emperor, Host, LONG, served, story, wait_until};
use nix::sys::signal::Signal;

#[test]
fn during_a_reload() {
    story(|host| {
        let (customer, emperor) = running(host);
        let vassal = emperor.vassal("app001.ini");
        let (processes, mark) = (vassal.processes(), emperor.mark());
        emperor.write("app001.ini", &format!("{}env = ROUND=two\n", customer.vassal()));
        emperor.wait_log_from(mark, &["app001.ini", "reloading in place"]);
        vassal.process("unionfs-fuse").kill(Signal::SIGKILL);
        wait_until("every old process to be gone", LONG, || vassal.is_gone(&processes));
        wait_until("the new value", LONG, || customer.ask("/env/ROUND").as_deref() == Some("two"));
        emperor.wait_cause(mark, "app001.ini", "mountpoint_dead");
    });
}

#[test]
fn three_times_in_a_row() {
    story(|host| {
        let (customer, emperor) = running(host);
        for _ in 0..3 {
            let vassal = emperor.vassal("app001.ini");
            let processes = vassal.processes();
            vassal.process("unionfs-fuse").kill(Signal::SIGKILL);
            wait_until("every old process to be gone", LONG, || vassal.is_gone(&processes));
            served(customer.port, "page of precise", LONG);
        }
        customer.tell("/append/srv/data/after");
        assert_eq!(customer.written(), ["srv/data/after"]);
    });
}

#[test]
fn when_the_emperor_is_killed_with_it() {
    story(|host| {
        let (_customer, emperor) = running(host);
        let vassal = emperor.vassal("app001.ini");
        let processes = vassal.processes();
        let union = vassal.process("unionfs-fuse");
        emperor.signal(Signal::SIGKILL);
        union.kill(Signal::SIGKILL);
        wait_until("every process to be gone", LONG, || vassal.is_gone(&processes));
        let _status = emperor.wait_exit(LONG);
    });
}

/// A customer that is served.
fn running(host: &Host) -> (Customer, std::rc::Rc<Emperor>) {
    let ns = Ns::new(host);
    let _root = ns.rootfs("precise");
    let customer = ns.customer("precise", USERS[0]);
    let emperor = host.emperor().plugins_are_named().start();
    emperor.write("app001.ini", &customer.vassal());
    served(customer.port, "page of precise", LONG);
    (customer, emperor)
}
