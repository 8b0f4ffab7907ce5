//! The union is the root of everything a vassal is, pid 1 included: it may die, or only fall silent, while the app is being replaced, again and again, or
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
        vassal.process("unionfs-fuse").kill(Signal::SIGKILL);
        emperor.signal(Signal::SIGKILL);
        wait_until("every process to be gone", LONG, || vassal.is_gone(&processes));
        let _status = emperor.wait_exit(LONG);
    });
}

#[test]
fn when_it_only_stops_answering() {
    story(|host| {
        let (customer, emperor) = running_with(host, "mountpoint-check-timeout = 1\n");
        let vassal = emperor.vassal("app001.ini");
        let (processes, mark) = (vassal.processes(), emperor.mark());
        vassal.process("unionfs-fuse").kill(Signal::SIGSTOP);
        wait_until("every old process to be gone", LONG, || vassal.is_gone(&processes));
        served(customer.port, "page of precise", LONG);
        emperor.wait_cause(mark, "app001.ini", "mountpoint_hung");
    });
}

#[test]
fn when_its_file_goes_while_it_does_not_answer() {
    story(|host| {
        let (_customer, emperor) = running_with(host, "stop-timeout = 1\n");
        let vassal = emperor.vassal("app001.ini");
        let processes = vassal.processes();
        vassal.process("unionfs-fuse").kill(Signal::SIGSTOP);
        emperor.remove("app001.ini");
        wait_until("every process to be gone", LONG, || vassal.is_gone(&processes));
    });
}

/// A customer that is served.
fn running(host: &Host) -> (Customer, std::rc::Rc<Emperor>) {
    running_with(host, "")
}

/// The same, with more lines in its file.
fn running_with(host: &Host, more: &str) -> (Customer, std::rc::Rc<Emperor>) {
    let ns = Ns::new(host);
    let _root = ns.rootfs("precise");
    let customer = ns.customer("precise", USERS[0]);
    let emperor = host.emperor().plugins_are_named().start();
    emperor.write("app001.ini", &format!("{}{more}", customer.vassal()));
    served(customer.port, "page of precise", LONG);
    (customer, emperor)
}
