//! `uid`, `gid`, `add-gid`, `no-initgroups`: who the vassal becomes.
//!
//! As uWSGI does it: without a `gid` the group stays the emperor's; supplementary groups are the user's own, or exactly those
//! of `add-gid` where there are any, or none where there is no user or `no-initgroups`.
//!
//! Names are the host's where the vassal keeps the host's root. Where it gets another one they are that root's, as in uWSGI, and
//! nobody but the vassal's init can look there, when it is inside; so the names themselves are handed on. Only `root` is 0 in every root.

use crate::options::Options;
use crate::pair::Pair;
use crate::report::Report;
use crate::{Account, Asked, Code, Identity, Lookup, Names};

/// The user and the group with the number 0.
pub(crate) const ROOT: &str = "root";

/// What the lines say of the vassal's identity.
pub(crate) enum Who {
    /// All numbers are known.
    Known(Asked<Identity>),
    /// The new root's files know.
    Named(Asked<Names>),
}

/// The identity, or None where neither user nor group is asked for. Unknown names are reported. A question without an answer has ended
/// the reading, and nothing is made of it.
pub(crate) fn raise(options: &Options<'_>, in_new_root: bool, lookup: &dyn Lookup, report: &mut Report) -> Option<Who> {
    let (uid_line, gid_line) = (options.last("uid"), options.last("gid"));
    let asked_at = uid_line.or(gid_line)?.origin.clone();
    if let (Some(line), None) = (uid_line, gid_line) {
        warn_of_emperors_group(line, in_new_root, lookup, report);
    }
    if in_new_root {
        return Some(Who::Named(Asked::new(names(options, lookup, report), asked_at)));
    }
    let (own_uid, _, own_gid, _) = lookup.own_identity();
    let user = uid_line.map(|line| user(line, lookup, report));
    let group = gid_line.map(|line| group(line, lookup, report));
    let more: Vec<Option<u32>> = options.all(&["add-gid"]).map(|line| self::group(line, lookup, report)).collect();
    // Every name must be known; the mistakes are in the report already.
    let (uid, name) = match user {
        Some(user) => user.map(|(uid, name)| (uid, Some(name)))?,
        None => (own_uid, None),
    };
    let gid = group.unwrap_or(Some(own_gid))?;
    let more: Vec<u32> = more.into_iter().collect::<Option<_>>()?;
    let no_initgroups = options.boolean("no-initgroups", false) || !more.is_empty();
    let identity = lookup.identity(uid, gid, name.as_deref(), no_initgroups, &more).ok()?;
    Some(Who::Known(Asked::new(identity, asked_at)))
}

/// What `immediate-uid` and `immediate-gid` make of a uwsgi; no supplementary groups, as there. A group alone changes nothing that
/// hooks could tell.
pub(crate) fn immediate(options: &Options<'_>, lookup: &dyn Lookup, report: &mut Report) -> Option<Asked<Identity>> {
    let line = options.last("immediate-uid")?;
    let (_, _, own_gid, _) = lookup.own_identity();
    let gid = options.last("immediate-gid").map_or(Some(own_gid), |line| group(line, lookup, report));
    let (uid, _) = user(line, lookup, report)?;
    Some(Asked::new(Identity { uid, gid: gid?, groups: Vec::new() }, line.origin.clone())).filter(|asked| asked.value.uid != 0)
}

fn warn_of_emperors_group(line: &Pair, in_new_root: bool, lookup: &dyn Lookup, report: &mut Report) {
    // A name the host does not know is a mistake of its own, or the new root's business.
    if lookup.user(&line.value).is_ok_and(|found| found.map_or(in_new_root, |(uid, ..)| uid != 0)) {
        let (_, _, own_gid, _) = lookup.own_identity();
        let stays = line.warning(Code::GroupStays, format!("a uid without a gid: the group stays {own_gid}, as in uWSGI"));
        report.push(stays.with_hint(format!("add gid = {}", line.value)));
    }
}

/// The names as they stand, for the new root.
fn names(options: &Options<'_>, lookup: &dyn Lookup, report: &mut Report) -> Names {
    let (own_uid, _, own_gid, _) = lookup.own_identity();
    let mut account = |line: &Pair| {
        if line.value.is_empty() {
            report.push(line.error(Code::MissingValue, "needs a name or a number"));
        }
        account_of(&line.value)
    };
    let user = options.last("uid").map(&mut account);
    let group = options.last("gid").map_or(Account::Number(own_gid), &mut account);
    let more: Vec<Account> = options.all(&["add-gid"]).map(&mut account).collect();
    let initgroups = user.is_some() && more.is_empty() && !options.boolean("no-initgroups", false);
    Names { user: user.unwrap_or(Account::Number(own_uid)), group, more, initgroups }
}

/// A user or group as written. `root` is 0 wherever it stands: the line means root, and no file of a root is asked who that is.
pub(crate) fn account_of(text: &str) -> Account {
    if text == ROOT { Account::Number(0) } else { text.parse().map_or_else(|_| Account::Name(text.to_owned()), Account::Number) }
}

fn user(line: &Pair, lookup: &dyn Lookup, report: &mut Report) -> Option<(u32, String)> {
    if line.value == ROOT {
        return Some((0, ROOT.to_owned()));
    }
    let found = if line.value.is_empty() { None } else { lookup.user(&line.value).ok()? };
    if found.is_none() {
        let unknown = line.error(Code::UnknownUser, format!("there is no user \"{}\"", line.value));
        report.push(unknown.with_hint(mend(line, "useradd")));
    }
    found.map(|(uid, _, name)| (uid, name))
}

/// What mends a name nobody has.
fn mend(line: &Pair, program: &str) -> String {
    let without = ['"', '\''].iter().find_map(|quote| line.value.strip_prefix(*quote)?.strip_suffix(*quote));
    match without {
        Some(name) => format!("the quotes are part of the value: write {} = {name}", line.key),
        None => format!("create it ({program} --system NAME), or name one that exists"),
    }
}

fn group(line: &Pair, lookup: &dyn Lookup, report: &mut Report) -> Option<u32> {
    if line.value == ROOT {
        return Some(0);
    }
    let found = if line.value.is_empty() { None } else { lookup.group(&line.value).ok()? };
    if found.is_none() {
        let unknown = line.error(Code::UnknownGroup, format!("there is no group \"{}\"", line.value));
        report.push(unknown.with_hint(mend(line, "groupadd")));
    }
    found
}
