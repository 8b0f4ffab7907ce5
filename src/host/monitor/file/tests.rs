use std::fs;

use liege_spec::Reading;

use super::{super::stamp::file_at, *};

/// A file, a clock that is turned by hand, and a real file to take stamps from.
struct Scene {
    file: File,
    now: Instant,
    _dir: tempfile::TempDir,
    known: Known,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.ini");
        fs::write(&path, "x").unwrap();
        let stamp = Stamp::of_path(&path, false).unwrap().unwrap();
        let known = Known { stamp, file: file_at(&path).unwrap(), hash: 1, is_users: false, racy: false };
        Self { file: File::default(), now: Instant::now(), _dir: dir, known }
    }

    fn after(&mut self, millis: u64) -> &mut Self {
        self.now += Duration::from_millis(millis);
        self
    }

    fn sign(&mut self, sign: Sign) -> &mut Self {
        self.file.sign(self.now, sign);
        self
    }

    /// Milliseconds until it wants to be looked at.
    fn due(&self) -> Option<u128> {
        self.file.due().map(|at| at.saturating_duration_since(self.now).as_millis())
    }

    /// The look in flight, if there is one, is this one.
    fn begin(&mut self) -> Question {
        self.file.in_flight = None;
        match self.file.begin(self.now, 1) {
            Begun::Look(question) => question,
            Begun::Name => panic!("a look is late"),
        }
    }

    fn good(&mut self) -> Option<bool> {
        self.begin();
        let config = Arc::new(VassalConfig { fresh: spec(), again: spec() });
        let reading = Reading { value: Some(config), diagnostics: Vec::new() };
        match self.file.finish(self.now, Look::Read(self.known, reading)) {
            News::Good(good) => Some(good.touched),
            _ => None,
        }
    }

    fn unreadable(&mut self) -> News {
        self.begin();
        let why = super::super::look::unreadable("a.ini".as_ref(), &std::io::ErrorKind::Other.into());
        self.file.finish(self.now, Look::Unreadable(why))
    }

    fn bad(&mut self) -> News {
        self.begin();
        let diagnostics = vec![super::super::look::unreadable("a.ini".as_ref(), &std::io::ErrorKind::Other.into())];
        self.file.finish(self.now, Look::Read(self.known, Reading { value: None, diagnostics }))
    }

    fn scan(&mut self) -> &mut Self {
        self.file.scanned(self.now, Found::File(self.known.stamp));
        self
    }
}

#[test]
fn a_new_file_is_read_when_its_writer_closes_it() {
    let mut scene = Scene::new();
    scene.sign(Sign::Created);
    assert_eq!(scene.due(), Some(5));
    scene.after(5);
    assert!(scene.begin().young);
    assert!(matches!(scene.file.finish(scene.now, Look::Unfinished), News::None));
    assert_eq!(scene.due(), Some(995));
    scene.after(10).sign(Sign::Modified).sign(Sign::Complete);
    assert_eq!(scene.due(), Some(0));
    assert!(!scene.begin().young);
}

#[test]
fn a_writer_that_never_closes_and_never_rests_is_read_after_two_seconds() {
    let mut scene = Scene::new();
    for _ in 0..4 {
        scene.sign(Sign::Modified).after(500);
    }
    scene.sign(Sign::Modified);
    assert_eq!(scene.due(), Some(0));
}

#[test]
fn one_that_a_process_has_open_is_read_when_it_is_closed_or_after_half_a_minute() {
    let mut scene = Scene::new();
    scene.sign(Sign::Modified).after(1000);
    assert!(scene.begin().waits_for_writer);
    assert!(matches!(scene.file.finish(scene.now, Look::Written), News::None));
    assert_eq!(scene.due(), Some(1000));
    assert!(scene.file.why_unread().is_some(), "an order is refused with the reason");
    assert_eq!(scene.sign(Sign::Complete).due(), Some(0));

    scene.after(29_999);
    assert!(scene.begin().waits_for_writer);
    assert!(matches!(scene.file.finish(scene.now, Look::Written), News::None));
    scene.after(1);
    assert!(!scene.begin().waits_for_writer);
    assert!(scene.good().is_some());
    scene.sign(Sign::Modified);
    assert!(scene.begin().waits_for_writer, "the next write is another one");
}

#[test]
fn a_file_moved_away_and_written_anew_never_left() {
    let mut scene = Scene::new();
    scene.sign(Sign::MovedAway).after(3).sign(Sign::Created).after(1).sign(Sign::Complete);
    assert_eq!(scene.due(), Some(0));
    scene.begin();
    assert!(matches!(scene.file.finish(scene.now, Look::Same(scene.known)), News::None));
}

#[test]
fn an_answer_older_than_the_last_sign_is_thrown_away_but_not_for_ever() {
    let mut scene = Scene::new();
    for _ in 0..3 {
        scene.begin();
        scene.sign(Sign::Attributes);
        assert!(matches!(scene.file.finish(scene.now, Look::Missing), News::None));
        assert_eq!(scene.due(), Some(0));
        scene.after(1000);
    }
    scene.begin();
    scene.sign(Sign::Attributes);
    assert!(matches!(scene.file.finish(scene.now, Look::Missing), News::Gone));
}

#[test]
fn there_is_never_a_second_look_in_flight() {
    let mut scene = Scene::new();
    scene.begin();
    scene.sign(Sign::Complete);
    assert_eq!(scene.due(), None);
}

#[test]
fn mistakes_are_told_once_and_tried_again_ever_more_rarely() {
    let mut scene = Scene::new();
    assert!(matches!(scene.bad(), News::Bad(_)));
    let mut tries = Vec::new();
    for scan in 1..=40 {
        if scene.scan().due().is_some() {
            tries.push(scan);
            assert!(matches!(scene.bad(), News::None));
        }
    }
    assert_eq!(tries, [1, 3, 7, 15, 31]);
    scene.sign(Sign::Complete);
    assert!(matches!(scene.bad(), News::Bad(_)), "who touches the file gets an answer");
}

#[test]
fn a_scan_leaves_a_file_alone_that_did_not_change_and_one_that_is_being_written() {
    let mut scene = Scene::new();
    scene.begin();
    scene.file.finish(scene.now, Look::Same(scene.known));
    assert_eq!(scene.scan().due(), None);
    scene.sign(Sign::Modified);
    assert_eq!(scene.scan().due(), Some(1000));
    scene.begin();
    scene.file.finish(scene.now, Look::Same(Known { racy: true, ..scene.known }));
    assert_eq!(scene.scan().due(), Some(0));
}

/// As a birth is: no mistake of the file, and no matter of the rescans.
#[test]
fn what_is_lacking_to_read_it_is_tried_for_again_soon() {
    let mut scene = Scene::new();
    assert_eq!(scene.good(), Some(true));
    let lacks = |scene: &mut Scene| {
        scene.begin();
        let why = super::super::look::unreadable("a.ini".as_ref(), &std::io::Error::from_raw_os_error(24));
        scene.file.finish(scene.now, Look::Unreadable(why))
    };
    assert!(matches!(lacks(&mut scene), News::Lacking(why) if why.contains("no descriptor is left in the daemon")));
    for _ in 0..20 {
        assert!(scene.due().is_some_and(|due| due > 0 && due <= 5000), "{:?}", scene.due());
        scene.after(5000).scan();
        assert!(matches!(lacks(&mut scene), News::None), "told once");
    }
    scene.after(5000);
    assert!(scene.begin().again);
    assert_eq!(scene.good(), Some(false), "nobody has touched it");
    assert_eq!(scene.scan().due(), None);
    let why =
        Diagnostic { code: Code::Lacking, ..super::super::look::unreadable("a.ini".as_ref(), &std::io::ErrorKind::Other.into()) };
    scene.begin();
    let reading = Reading { value: None, diagnostics: vec![why] };
    assert!(matches!(scene.file.finish(scene.now, Look::Read(scene.known, reading)), News::Lacking(_)));
}

#[test]
fn a_good_reading_after_a_bad_one_is_told() {
    let mut scene = Scene::new();
    scene.bad();
    assert!(scene.begin().again);
    assert_eq!(scene.good(), Some(true));
    assert!(!scene.begin().again);
}

#[test]
fn a_file_that_could_not_be_read_for_a_moment_was_not_touched() {
    let mut scene = Scene::new();
    assert_eq!(scene.good(), Some(true), "a new file");
    assert!(matches!(scene.unreadable(), News::Bad(_)));
    assert_eq!(scene.good(), Some(false));
}

#[test]
fn a_mended_file_was_touched_though_it_says_what_it_said_before() {
    let mut scene = Scene::new();
    scene.good();
    let before = scene.known;
    scene.known.hash = 2;
    scene.bad();
    let mended = tempfile::NamedTempFile::new().unwrap();
    mended.as_file().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    scene.known = Known { stamp: Stamp::of_path(mended.path(), false).unwrap().unwrap(), ..before };
    assert_eq!(scene.good(), Some(true));
    scene.known.hash = 2;
    scene.bad();
    scene.known.hash = before.hash;
    assert_eq!(scene.good(), Some(false), "with its former time as well: a backup that was put back");
}

#[test]
fn a_file_whose_vassal_died_is_read_again_once() {
    let mut scene = Scene::new();
    scene.good();
    scene.begin();
    scene.file.read_again(scene.now);
    assert!(matches!(scene.file.finish(scene.now, Look::Same(scene.known)), News::None));
    assert_eq!(scene.due(), Some(0), "the look in flight may be older than the death");
    assert!(scene.begin().again);
    assert_eq!(scene.good(), Some(false));
    assert!(!scene.begin().again);
}

#[test]
fn mistakes_found_again_because_its_vassal_died_are_not_told_again() {
    let mut scene = Scene::new();
    scene.bad();
    scene.file.read_again(scene.now);
    assert!(matches!(scene.bad(), News::None));
}

fn spec() -> liege_spec::VassalSpec {
    let source = liege_spec::Source::new("a.ini", b"[vassal]\ncommand = /bin/true\nuid = root\n");
    liege_spec::read_vassal(&source, &crate::world::World::alone()).value.unwrap().fresh
}
