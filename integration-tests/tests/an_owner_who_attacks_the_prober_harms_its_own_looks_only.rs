//! A look at a tenant's mount is made with the tenant's ids, so the tenant may kill, stop and limit what looks. One that does so without
//! a pause, from a process that sees the pids of the host and with a daemon that never answers, reaches the looks at its own mount. The
//! prober lives on, and the mounts of another user are watched and healed as ever.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use liege_integration_tests::apps::USER;
use liege_integration_tests::faults::{Filesystem, Kind, Owner, Pace, Victim};
use liege_integration_tests::gauge::is_helper;
use liege_integration_tests::story::Host;
use liege_integration_tests::{Emperor, LONG, SHORT, procs, story, wait_for, wait_until};
use nix::sys::signal::Signal;
use nix::unistd::{User, chown};

/// The user that attacks. The neighbour is [`USER`].
const ATTACKER: &str = "games";

/// Its daemon may be silent for as long as the story lasts.
const FOR_EVER: Pace = Pace { interval: 0.2, timeout: 600.0 };

#[test]
fn an_owner_who_attacks_the_prober_harms_its_own_looks_only() {
    story(|host| {
        let emperor = host.emperor().start();
        let [hanging, dying] = ["hanging", "dying"]
            .map(|name| Victim::new(host, name, Filesystem::new(host, name, Kind::Faultfs, Owner::User), "", Pace::SUITE));
        for victim in [&hanging, &dying] {
            emperor.write(&victim.name, &victim.text());
            until_well(&emperor, victim, 0);
        }
        let own = Victim::new(host, "own", Filesystem::new(host, "own", Kind::Faultfs, Owner::User), "", FOR_EVER);
        let attacker = User::from_name(ATTACKER).ok().flatten().expect("every Debian has a user games");
        chown(&own.filesystem.mount, Some(attacker.uid), Some(attacker.gid)).expect("chown of our own directory");
        emperor.write(&own.name, &own.text().replace(USER, ATTACKER));
        until_well(&emperor, &own, 0);
        let path = own.filesystem.mount.display().to_string();
        let life = own.vassal(&emperor).expect("it runs");
        let prober = wait_for("a prober", SHORT, || prober(&emperor));
        own.order("queue").expect("it obeys");
        let minor =
            liege_integration_tests::leaks::minor_of(&life.init.mountinfo(), &own.filesystem.mount).expect("it is mounted");
        let waiting = format!("{}/{minor}/waiting", liege_integration_tests::story::FUSECTL);
        wait_until("a look that waits", SHORT, || std::fs::read_to_string(&waiting).is_ok_and(|text| text.trim() != "0"));

        let attack = Attack::begin(host, &attacker);
        attack.until(&["limited", "stopped", "killed"]);
        for _ in 0..3 {
            let mark = emperor.mark();
            dying.daemon(&dying.vassal(&emperor).expect("it runs")).expect("it runs").kill(Signal::SIGKILL);
            hanging.order("queue").expect("it obeys");
            emperor.wait_cause(mark, &dying.name, "mountpoint_dead");
            emperor.wait_cause(mark, &hanging.name, "mountpoint_hung");
            for victim in [&hanging, &dying] {
                until_well(&emperor, victim, mark);
            }
        }
        let line = emperor.wait_log(&format!("{path} is unknown"));
        assert!(line.contains("EOWNERDEAD"), "the reason is named: {line}");
        let deeds = attack.end();
        assert_eq!(deeds, Vec::<String>::new(), "no more than that: neither its memory nor its priority");
        assert!(prober.lives(), "the prober was hit");

        // Without the attack its mount is watched as ever.
        let mark = emperor.mark();
        own.order("healthy").expect("it obeys");
        emperor.wait_log_from(mark, &[&format!("{path} is healthy")]);
        assert!(life.init.lives(), "what kept the look from an answer says nothing about the mount");
        own.daemon(&life).expect("it runs").kill(Signal::SIGKILL);
        emperor.wait_cause(mark, &own.name, "mountpoint_dead");
    });
}

fn until_well(emperor: &Emperor, victim: &Victim, mark: usize) {
    victim.until_served(Instant::now(), LONG).unwrap_or_else(|why| panic!("{}: {why}", victim.name));
    emperor.wait_log_from(mark, &[&format!("{} is healthy", victim.filesystem.mount.display())]);
}

fn prober(emperor: &Emperor) -> Option<procs::Process> {
    procs::all().into_iter().find(|process| is_helper(process, emperor.pid))
}

/// `bin/assailant` at work.
struct Attack {
    child: Child,
    deeds: std::sync::mpsc::Receiver<String>,
}

impl Attack {
    fn begin(host: &Host, user: &User) -> Self {
        let mut command = Command::new(host.helper("assailant"));
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a helper of our own");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let (tell, deeds) = std::sync::mpsc::channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Self { child, deeds }
    }

    /// Waits until it has succeeded with all of these at least.
    fn until(&self, wanted: &[&str]) {
        let mut left = wanted.to_vec();
        while !left.is_empty() {
            let deed = self.deeds.recv_timeout(LONG).unwrap_or_else(|_| panic!("it never succeeded with {left:?}"));
            left.retain(|wanted| *wanted != deed);
        }
    }

    /// Ends it, and gives what else it did.
    fn end(mut self) -> Vec<String> {
        drop(self.child.stdin.take());
        self.child.wait().expect("our own child");
        self.deeds.iter().collect()
    }
}
