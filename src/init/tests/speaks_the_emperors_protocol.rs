//! The emperor protocol byte by byte, with a uwsgi that does only what the story says.
#![allow(missing_docs)]

mod world;

use std::os::unix::fs::PermissionsExt;

use liege_plan::{App, AppWord, Exit, FromInit, Lasting, Program, ToInit, Uwsgi};
use world::*;

/// A program in uwsgi's place: python, with `words` and `config` as its sockets.
fn fake(dir: &Dir, config: &str, body: &str) -> App {
    let binary = dir.file("uwsgi");
    let head = "#!/usr/bin/python3\nimport os, socket, sys\nenv = os.environ\n\
                words = socket.socket(fileno=int(env['UWSGI_EMPEROR_FD']))\n\
                config = socket.socket(fileno=int(env['UWSGI_EMPEROR_FD_CONFIG']))\n\
                def packet():\n    head = config.recv(4, socket.MSG_WAITALL)\n    \
                return head[0], head[3], config.recv(head[1] + head[2] * 256, socket.MSG_WAITALL).decode()\n\
                def say(*args): print(*args, flush=True)\n";
    std::fs::write(&binary, format!("{head}{body}")).unwrap();
    std::fs::set_permissions(&binary, PermissionsExt::from_mode(0o755)).unwrap();
    app(Program::Uwsgi(Uwsgi {
        binary,
        name: "a.ini".into(),
        config: config.into(),
        graceful_stop: false,
        sockets: Vec::new(),
        lasting: Lasting::default(),
    }))
}

#[test]
fn the_configuration_is_there_from_the_start_and_again_when_asked() {
    let dir = Dir::new("packet");
    let body = "say(sys.argv[1:], packet())\nwords.send(b'\\x02')\nsay(packet())\n";
    let mut vassal = Vassal::start(plan(fake(&dir, "[uwsgi]", body)));
    assert_eq!(vassal.line(), "['--ini', 'emperor://a.ini'] (115, 0, '[uwsgi]')");
    assert_eq!(vassal.line(), "(115, 0, '[uwsgi]')");
}

#[test]
fn every_byte_is_relayed_in_order_and_before_the_end() {
    let dir = Dir::new("bytes");
    let body = "words.send(bytes([1, 5, 17, 22, 26, 30, 99]))\nsys.exit(22)\n";
    let mut vassal = Vassal::start(plan(fake(&dir, "", body)));
    vassal.started();
    use AppWord::{Accepting, Heartbeat, Leaving, Loyal, Ready, Sos, Unknown};
    for word in [Ready, Accepting, Loyal, Leaving, Heartbeat, Sos, Unknown(99)] {
        assert_eq!(vassal.hears(), Some(FromInit::Said(word)));
    }
    assert_eq!(vassal.hears(), Some(FromInit::AppExited { exit: Exit::Code(22), said: None }));
}

#[test]
fn a_reload_is_byte_one_and_done_when_the_configuration_is_wanted() {
    let dir = Dir::new("reload");
    let body = "packet()\nsay('order', words.recv(1))\nwords.send(b'\\x02')\nsay(packet())\nwords.recv(1)\n";
    let mut vassal = Vassal::start(plan(fake(&dir, "old", body)));
    let pid = vassal.started();
    vassal.reload(vec![], fake(&dir, "new", body));
    assert_eq!(vassal.hears(), Some(FromInit::Walked));
    assert_eq!(vassal.hears(), Some(FromInit::Said(AppWord::WantsConfig)));
    assert_eq!(vassal.hears(), Some(FromInit::Started { pid }));
    assert_eq!(vassal.line(), "order b'\\x01'");
    assert_eq!(vassal.line(), "(115, 0, 'new')");
}

#[test]
fn a_reload_of_its_own_gets_the_configuration_and_is_no_start() {
    let dir = Dir::new("own");
    let body = "packet()\nwords.send(b'\\x02')\nsay(packet())\n";
    let mut vassal = Vassal::start(plan(fake(&dir, "same", body)));
    vassal.started();
    assert_eq!(vassal.hears(), Some(FromInit::Said(AppWord::WantsConfig)));
    assert_eq!(vassal.hears(), Some(FromInit::AppExited { exit: Exit::Code(0), said: None }));
}

#[test]
fn a_stop_is_byte_zero_or_two_where_grace_is_asked_for() {
    let dir = Dir::new("stop");
    let mut app = fake(&dir, "", "words.send(b'\\x01\\x05')\nsay('order', words.recv(1))\n");
    for (grace, order) in [(false, "order b'\\x00'"), (true, "order b'\\x02'")] {
        if let Program::Uwsgi(uwsgi) = &mut app.program {
            uwsgi.graceful_stop = grace;
        }
        let mut vassal = Vassal::start(plan(app.clone()));
        vassal.started();
        vassal.hears_until(|m| (*m == FromInit::Said(AppWord::Accepting)).then_some(()));
        vassal.tell(&ToInit::Stop);
        assert_eq!(vassal.line(), order);
        assert_eq!(vassal.app_exited(), Exit::Code(0));
    }
}

/// Its workers would lose what it passes on to them. A fake one has no workers, so the word is all that is waited for.
#[test]
fn a_stop_waits_until_the_first_worker_accepts() {
    let dir = Dir::new("early");
    let body = "words.settimeout(1)\ntry: say('too early', words.recv(1))\nexcept TimeoutError: say('silence')\n\
                words.settimeout(None)\nwords.send(b'\\x01\\x05')\nsay('order', words.recv(1))\n";
    let mut vassal = Vassal::start(plan(fake(&dir, "", body)));
    vassal.started();
    vassal.tell(&ToInit::Stop);
    assert_eq!((vassal.line(), vassal.line()), ("silence".to_owned(), "order b'\\x00'".to_owned()));
    assert_eq!(vassal.app_exited(), Exit::Code(0));
}

/// It makes its workers when the first request comes.
#[test]
fn one_that_has_loaded_and_accepts_nothing_is_told_soon() {
    let dir = Dir::new("cheap");
    let mut vassal = Vassal::start(plan(fake(&dir, "", "words.send(b'\\x01')\nsay('order', words.recv(1))\n")));
    vassal.started();
    vassal.tell(&ToInit::Stop);
    assert_eq!(vassal.line(), "order b'\\x00'");
}

#[test]
fn one_that_reads_nothing_does_not_stop_init() {
    let dir = Dir::new("deaf");
    // Far more than the socket holds is asked for and never read; then an orphan dies and must be reaped all the same.
    let body = "words.send(b'\\x02' * 40 + b'\\x05')\nos.system('( ( exit 3 ) & )')\nwords.recv(1)\n";
    let mut vassal = Vassal::start(plan(fake(&dir, &"x".repeat(Uwsgi::MAX_CONFIG), body)));
    assert_eq!(vassal.orphan_died().1, Exit::Code(3));
    vassal.tell(&ToInit::Stop);
    assert_eq!(vassal.app_exited(), Exit::Code(0));
}

#[test]
fn no_other_fd_reaches_it() {
    let dir = Dir::new("fds");
    let mut vassal = Vassal::start(plan(fake(&dir, "", "say(sorted(os.listdir('/proc/self/fd'), key=int))\n")));
    // The last is the listing's own.
    assert_eq!(vassal.line(), "['0', '1', '2', '3', '4', '5']");
}
