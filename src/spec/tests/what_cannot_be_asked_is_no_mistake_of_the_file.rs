//! A question to the world that gets no answer ends the reading: that is its one mistake, and nothing is concluded from the silence.

use liege_spec::testing::TableLookup;
use liege_spec::{Code, Diagnostic, Source, read_emperor, read_vassal};

const WHY: &str = "EMFILE (Too many open files)";

fn told(found: &[Diagnostic]) -> Vec<(Code, &str)> {
    found.iter().filter(|one| one.is_error()).map(|one| (one.code, &*one.message)).collect()
}

#[test]
fn every_question_that_gets_no_answer_is_told_as_that() {
    let world = TableLookup { fails: Some(WHY.into()), ..TableLookup::default().with_user("shop", 1001, 1002) };
    for (lines, of) in [
        ("uid = shop\ngid = shop", "the user shop"),
        ("uid = nobody-is-called-so", "the user nobody-is-called-so"),
        ("gid = shop", "the group shop"),
        ("add-gid = shop\ngid = 1002", "the group 1002"),
        ("immediate-uid = shop", "the user shop"),
        ("hook-as-root = chown:/x shop shop", "the user shop"),
        ("if-exists = /x\nuid = nobody-is-called-so\nendif =", "/x"),
        ("if-not-dir = /x\nuid = nobody-is-called-so\nendif =", "/x"),
        ("for-glob = /x/*\nenv = A=%(_)\nendfor =", "/x/*"),
    ] {
        let text = format!("[uwsgi]\n{lines}\n");
        let reading = read_vassal(&Source::new("/etc/vassals/a.ini", text.as_bytes()), &world);
        assert!(reading.value.is_none());
        assert_eq!(told(&reading.diagnostics), [(Code::Unreadable, &*format!("{of} cannot be looked up: {WHY}"))], "{lines}");
    }
    let text = b"[emperor]\nemperor = /x\nvassal-hook-pre-jail = chown:/x shop shop\n";
    let emperor = read_emperor(Some(&Source::new("/etc/emperor.ini", text)), &[], &world);
    assert!(emperor.value.is_none());
}
