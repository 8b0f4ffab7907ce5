//! One look at one vassal file, on a thread that may block: what is there, has it changed, what does it say.

use std::{
    fs,
    hash::{DefaultHasher, Hasher},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use liege_core::FileId;
use liege_spec::{Code, Diagnostic, Reading, Severity, Source, VassalConfig, read_vassal};

use super::{
    stamp::{Stamp, inode_of},
    walk::is_gone,
};
use liege_sys::lease::is_open_for_writing;

use crate::{
    regular::{MAX_FILE, is_lock, open_regular, read_at_most, too_long, why_no_file},
    whereabouts::Whereabouts,
    world::{World, lacking, phrase},
};

/// What is known of a file from its last reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) stamp: Stamp,
    pub(super) file: FileId,
    pub(super) hash: u64,
    /// It said which user its app runs as, and that is not root.
    pub(super) is_users: bool,
    /// Its last reading cannot be trusted to show every write.
    pub(super) racy: bool,
}

impl Known {
    /// Whether somebody wrote or touched the file between that reading and this one.
    pub(super) fn touched_since(&self, earlier: &Self) -> bool {
        self.hash != earlier.hash || self.stamp.touched_since(&earlier.stamp)
    }
}

/// The question.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) known: Option<Known>,
    /// Read again although nothing changed: what it means may depend on the world around it.
    pub(super) again: bool,
    /// It was made a moment ago and nobody has closed it yet: one that may still be written is not read.
    pub(super) young: bool,
    /// A writer has said that this name is complete.
    pub(super) complete: bool,
    /// One that was modified just now may wait a little.
    pub(super) patient: bool,
    /// One that a writer has open is waited for.
    pub(super) waits_for_writer: bool,
    /// What was told of it last runs as a user.
    pub(super) was_users: bool,
}

/// The answer.
#[derive(Debug)]
pub(super) enum Look {
    /// Nothing is there.
    Missing,
    /// What is there is no file: a link that leads nowhere, a directory, a fifo.
    NoFile(Diagnostic),
    /// The directory it was in is not there now: it may come back with it. A phrase says what became of the directory.
    Kept(String),
    /// Probably still being written.
    Unfinished,
    /// A process has it open for writing: perhaps only the beginning of it is there.
    Written,
    /// Modified just now, and no sign of its completeness would come under this name.
    Fresh,
    /// The same as before, under this stamp.
    Same(Known),
    /// It could not be read; that says nothing about its content.
    Unreadable(Diagnostic),
    /// Its content is new, or it was touched, or it was to be read again.
    Read(Known, Reading<Arc<VassalConfig>>),
}

/// How files are looked at.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    pub(super) nofollow: bool,
    pub(super) set: Arc<[(String, String)]>,
    /// `emperor-curse-tolerance`
    pub(super) stop_timeout: Option<Duration>,
    pub(super) world: World,
}

impl Reader {
    /// Looks. Blocks as long as the file system (or what the file includes) does.
    pub(super) fn look(&self, path: &Path, question: &Question, whereabouts: &Whereabouts) -> Look {
        match self.try_look(path, question, whereabouts) {
            Ok(Look::Missing) => Self::no_file(path),
            Ok(look) => look,
            Err(error) if is_gone(&error) && fs::symlink_metadata(path).is_err_and(|e| is_gone(&e)) => Look::Missing,
            Err(error) if is_gone(&error) && (!self.nofollow || is_lock(path)) => Self::no_file(path),
            Err(error) => Look::Unreadable(unreadable(path, &error)),
        }
    }

    fn no_file(path: &Path) -> Look {
        why_no_file(path).map_or(Look::Missing, |why| Look::NoFile(of_file(path, why)))
    }

    /// Whether what this path leads to is looked at, and not the path itself.
    pub(super) fn is_followed(&self, path: &Path) -> bool {
        !self.nofollow && fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink())
    }

    /// Whether a file that was read is what it was, as far as its stamp tells: what a look would say first.
    pub(super) fn is_same(&self, path: &Path, question: &Question) -> Option<Known> {
        let known = question.known.filter(|known| !known.racy && !question.again)?;
        (Stamp::of_path(path, self.nofollow).ok()?? == known.stamp).then_some(known)
    }

    fn try_look(&self, path: &Path, question: &Question, whereabouts: &Whereabouts) -> io::Result<Look> {
        let at = fs::symlink_metadata(path)?;
        if question.young && at.is_file() && at.nlink() == 1 {
            return Ok(Look::Unfinished); // a link, hard or symbolic, is finished when it is there
        }
        let (began, entry) = (SystemTime::now(), inode_of(&at));
        let Some(mut stamp) = Stamp::of_path(path, self.nofollow)? else { return Ok(Look::Missing) };
        if let Some(known) = question.known
            && known.stamp == stamp
            && known.file.entry == entry
            && !known.racy
            && !question.again
        {
            return Ok(Look::Same(known));
        }
        // Whoever writes under another name (the target of a link), or where no signs come from, gets a moment to finish.
        let signs_come = question.complete && at.is_file() && at.nlink() == 1;
        // What was read once with this stamp was finished then: a respawn does not wait for it again.
        let was_read = question.known.is_some_and(|known| known.stamp == stamp);
        if question.patient && !signs_come && !was_read && stamp.is_fresh(began) {
            return Ok(Look::Fresh);
        }
        let Some(file) = open_regular(path)? else { return Ok(Look::Missing) };
        if question.waits_for_writer && is_open_for_writing(&file) == Some(true) {
            return Ok(Look::Written);
        }
        let text = read_at_most(&file, MAX_FILE)?.ok_or_else(too_long)?;
        // A truncation shows in the size before it shows in the times.
        if question.patient && !signs_come && text.is_empty() {
            return Ok(Look::Fresh);
        }
        let found = file.metadata()?;
        if !self.nofollow {
            let after = Stamp::of(&found);
            if after.touched_since(&stamp) {
                return Ok(Look::Unfinished); // written, or replaced, while it was read
            }
            stamp = after;
        }
        let (file, racy) = (FileId { entry, target: inode_of(&found) }, stamp.is_racy(began));
        let mut known = Known { stamp, file, hash: hash(&text), is_users: question.was_users, racy };
        if let Some(before) = question.known
            && !known.touched_since(&before)
            && known.file == before.file
            && !question.again
        {
            return Ok(Look::Same(known));
        }
        let reading = keeps_its_user(path, question.was_users, self.understand(path, &text, whereabouts));
        known.is_users = reading.value.as_ref().is_some_and(|config| runs_as_a_user(config));
        Ok(Look::Read(known, reading))
    }

    fn understand(&self, path: &Path, text: &[u8], whereabouts: &Whereabouts) -> Reading<Arc<VassalConfig>> {
        let path = path.to_string_lossy();
        let source = Source { path: &path, text, set: &self.set, stop_timeout: self.stop_timeout };
        let Reading { value, diagnostics } = read_vassal(&source, &self.world.for_reading_at(whereabouts));
        Reading { value: value.map(Arc::new), diagnostics }
    }
}

/// An app that runs as a user does not become root's because a line is missing: the file may have been cut (a full disk, a broken transfer). A
/// uwsgi of uWSGI's, which reloads in its own process, could not become root either.
fn keeps_its_user(path: &Path, was_users: bool, reading: Reading<Arc<VassalConfig>>) -> Reading<Arc<VassalConfig>> {
    if !was_users || reading.value.as_ref().is_none_or(|config| config.fresh.jail.drops()) {
        return reading;
    }
    let message = "the uid that it had is gone: it would run as root";
    let gone = Diagnostic::of_file(Severity::Error, Code::RunsAsRoot, path.to_string_lossy(), message);
    let hint = "was it cut off? Where root is meant: uid = root";
    let others = reading.diagnostics.into_iter().filter(|other| other.code != Code::RunsAsRoot);
    Reading { value: None, diagnostics: others.chain([gone.with_hint(hint)]).collect() }
}

fn runs_as_a_user(config: &VassalConfig) -> bool {
    let jail = &config.fresh.jail;
    jail.drops() && jail.identity.as_ref().is_none_or(|identity| identity.value.uid != 0)
}

fn hash(text: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(text);
    hasher.finish()
}

/// It is not read for now, because of this.
pub(super) fn lacks(path: &Path, what: &str) -> Look {
    Look::Unreadable(Diagnostic { code: Code::Lacking, ..of_file(path, format!("cannot be read: {what}")) })
}

/// A mistake of the file as a whole. What is lacking to read it is none.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> Diagnostic {
    match lacking(error) {
        Some(lack) => Diagnostic { code: Code::Lacking, ..of_file(path, format!("cannot be read: {lack}")) },
        None => of_file(path, format!("cannot be read: {}", phrase(error))),
    }
}

fn of_file(path: &Path, message: String) -> Diagnostic {
    Diagnostic::of_file(Severity::Error, Code::Unreadable, path.to_string_lossy(), message)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn reader(nofollow: bool) -> Reader {
        Reader { nofollow, set: Arc::new([]), stop_timeout: None, world: World::alone() }
    }

    fn look(reader: &Reader, path: &Path, question: &Question) -> Look {
        reader.look(path, question, &Whereabouts::default())
    }

    fn question(known: Option<Known>) -> Question {
        Question { known, again: false, young: false, complete: true, patient: false, waits_for_writer: true, was_users: false }
    }

    fn known(look: Look) -> Known {
        match look {
            Look::Read(known, _) | Look::Same(known) => known,
            other => panic!("{other:?}"),
        }
    }

    const TEXT: &str = "[vassal]\ncommand = /bin/true\nuid = root\n";

    #[test]
    fn an_edit_of_the_same_size_and_time_is_seen_while_the_stamp_is_racy() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.ini");
        fs::write(&path, TEXT).unwrap();
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        let first = known(look(&reader(false), &path, &question(None)));
        assert!(first.racy);
        fs::write(&path, TEXT.replace("true", "echo")).unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        assert!(matches!(look(&reader(false), &path, &question(Some(first))), Look::Read(..)));
    }

    /// A vassal that dies just after its file was written does not wait for a writer who is done.
    #[test]
    fn what_was_read_with_this_stamp_is_read_again_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("a.ini"), dir.path().join("link.ini"));
        std::os::unix::fs::symlink(&path, &link).unwrap();
        fs::write(&path, TEXT).unwrap();
        let patient = |known, again| Question { again, complete: false, patient: true, ..question(known) };
        let begun = look(&reader(false), &link, &patient(None, false));
        assert!(matches!(begun, Look::Fresh), "its writer may be in the middle of it: {begun:?}");
        let first = known(look(&reader(false), &link, &question(None)));
        let again = look(&reader(false), &link, &patient(Some(first), true));
        assert!(matches!(again, Look::Read(..)), "{again:?}");
    }

    #[test]
    fn a_touch_is_told_a_chmod_is_not() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.ini");
        fs::write(&path, TEXT).unwrap();
        let first = known(look(&reader(false), &path, &question(None)));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let Look::Same(second) = look(&reader(false), &path, &question(Some(first))) else { panic!("a chmod was told") };
        File::options().write(true).open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert!(matches!(look(&reader(false), &path, &question(Some(second))), Look::Read(..)));
    }

    #[test]
    fn a_file_made_a_moment_ago_is_not_read_before_it_is_closed_but_a_link_is() {
        let dir = tempfile::tempdir().unwrap();
        let (file, hard, soft) = (dir.path().join("a.ini"), dir.path().join("b.ini"), dir.path().join("c.ini"));
        fs::write(&file, TEXT).unwrap();
        let young = Question { young: true, ..question(None) };
        assert!(matches!(look(&reader(false), &file, &young), Look::Unfinished));
        fs::hard_link(&file, &hard).unwrap();
        assert!(matches!(look(&reader(false), &hard, &young), Look::Read(..)));
        std::os::unix::fs::symlink(&file, &soft).unwrap();
        assert!(matches!(look(&reader(false), &soft, &young), Look::Read(..)));
    }

    #[test]
    fn the_target_of_a_link_gets_a_moment_to_be_finished() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("a.ini"), dir.path().join("l.ini"));
        fs::write(&file, TEXT).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let patient = Question { patient: true, ..question(None) };
        assert!(matches!(look(&reader(false), &link, &patient), Look::Fresh));
        assert!(matches!(look(&reader(false), &file, &patient), Look::Read(..)));
        assert!(matches!(look(&reader(false), &file, &Question { complete: false, ..patient.clone() }), Look::Fresh));
        File::options().write(true).open(&file).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert!(matches!(look(&reader(false), &link, &patient), Look::Read(..)));
    }

    #[test]
    fn what_is_no_regular_file_is_told_apart_from_what_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("d.ini")).unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("l.ini")).unwrap();
        std::os::unix::fs::symlink("user@host.1", dir.path().join(".#l.ini")).unwrap();
        assert!(matches!(look(&reader(false), &dir.path().join("d.ini"), &question(None)), Look::NoFile(_)));
        assert!(matches!(look(&reader(false), &dir.path().join("l.ini"), &question(None)), Look::NoFile(_)));
        assert!(matches!(look(&reader(false), &dir.path().join(".#l.ini"), &question(None)), Look::Missing));
        assert!(matches!(look(&reader(true), &dir.path().join(".#l.ini"), &question(None)), Look::Missing));
        assert!(matches!(look(&reader(false), &dir.path().join("no.ini"), &question(None)), Look::Missing));
        assert!(matches!(look(&reader(true), &dir.path().join("l.ini"), &question(None)), Look::Unreadable(_)));
    }

    #[test]
    fn one_that_is_open_for_writing_is_not_read_while_it_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.ini");
        fs::write(&path, TEXT).unwrap();
        let writer = File::options().append(true).open(&path).unwrap();
        assert!(matches!(look(&reader(false), &path, &question(None)), Look::Written));
        let not_for_ever = Question { waits_for_writer: false, ..question(None) };
        assert!(matches!(look(&reader(false), &path, &not_for_ever), Look::Read(..)));
        drop(writer);
        assert!(matches!(look(&reader(false), &path, &question(None)), Look::Read(..)));
    }

    #[test]
    fn what_ran_as_a_user_becomes_roots_by_a_line_and_not_by_a_missing_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.ini");
        let read = |text: &str, was_users| {
            fs::write(&path, text).unwrap();
            match look(&reader(false), &path, &Question { was_users, ..question(None) }) {
                Look::Read(known, reading) => (known.is_users, reading.value.is_some(), reading.diagnostics),
                other => panic!("{other:?}"),
            }
        };
        assert!(matches!(read("[uwsgi]\nmaster = true\nuid = 33\ngid = 33\n", false), (true, true, _)));
        let (_, is_good, found) = read("[uwsgi]\nmaster = true\n", true);
        assert!(!is_good && found.iter().any(|found| found.message.contains("the uid that it had is gone")), "{found:?}");
        assert!(matches!(read("[uwsgi]\nmaster = true\nuid = root\n", true), (false, true, _)));
        assert!(matches!(read("[uwsgi]\nmaster = true\n", false), (false, true, _)), "it was root's before");
    }

    #[test]
    fn with_nofollow_only_the_link_counts() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("target"), dir.path().join("a.ini"));
        fs::write(&target, TEXT).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let first = Known { racy: false, ..known(look(&reader(true), &link, &question(None))) };
        File::options().write(true).open(&target).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert!(matches!(look(&reader(true), &link, &question(Some(first))), Look::Same(_)));
        let followed = Known { racy: false, ..known(look(&reader(false), &link, &question(None))) };
        fs::write(&target, TEXT).unwrap();
        assert!(matches!(look(&reader(false), &link, &question(Some(followed))), Look::Read(..)));
    }
}
