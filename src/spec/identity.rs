//! `uid`, `gid`, `add-gid`, `no-initgroups`: who the vassal becomes.
//!
//! As uWSGI does it: without a `gid` the group stays the emperor's; supplementary groups are the user's own, or exactly those
//! of `add-gid` where there are any, or none where there is no user or `no-initgroups`.

use crate::options::Options;
use crate::pair::Pair;
use crate::report::Report;
use crate::{Asked, Identity, Lookup};

/// The identity, or None where neither user nor group is asked for. Unknown names are reported.
pub(crate) fn raise(options: &Options<'_>, lookup: &dyn Lookup, report: &mut Report) -> Option<Asked<Identity>> {
    let (uid_line, gid_line) = (options.last("uid"), options.last("gid"));
    let asked_at = uid_line.or(gid_line)?.origin.clone();
    let (own_uid, _, own_gid, _) = lookup.own_identity();
    let user = uid_line.map(|line| user(line, lookup, report));
    let group = gid_line.map(|line| group(line, lookup, report));
    let more: Vec<Option<u32>> = options.all(&["add-gid"]).map(|line| self::group(line, lookup, report)).collect();
    if let (Some(line), Some(Some((uid, _))), None) = (uid_line, &user, gid_line)
        && *uid != 0
    {
        let stays = line.warning(format!("a uid without a gid: the group stays {own_gid}, as in uWSGI"));
        report.push(stays.with_hint(format!("add gid = {}", line.value)));
    }
    // Every name must be known; the mistakes are in the report already.
    let (uid, name) = match user {
        Some(user) => user.map(|(uid, name)| (uid, Some(name)))?,
        None => (own_uid, None),
    };
    let gid = group.unwrap_or(Some(own_gid))?;
    let more: Vec<u32> = more.into_iter().collect::<Option<_>>()?;
    let no_initgroups = options.boolean("no-initgroups", false) || !more.is_empty();
    Some(Asked::new(lookup.identity(uid, gid, name.as_deref(), no_initgroups, &more), asked_at))
}

fn user(line: &Pair, lookup: &dyn Lookup, report: &mut Report) -> Option<(u32, String)> {
    let found = if line.value.is_empty() { None } else { lookup.user(&line.value) };
    if found.is_none() {
        let unknown = line.error(format!("there is no user \"{}\"", line.value));
        report.push(unknown.with_hint("create it (useradd --system NAME), or name one that exists"));
    }
    found.map(|(uid, _, name)| (uid, name))
}

fn group(line: &Pair, lookup: &dyn Lookup, report: &mut Report) -> Option<u32> {
    let found = if line.value.is_empty() { None } else { lookup.group(&line.value) };
    if found.is_none() {
        let unknown = line.error(format!("there is no group \"{}\"", line.value));
        report.push(unknown.with_hint("create it (groupadd --system NAME), or name one that exists"));
    }
    found
}
