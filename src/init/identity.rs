//! The steps that find names in the vassal's own root: its identity, and the owner a file gets.
//!
//! A file system of a customer's may hang, and pid 1 must never: the files are read in a child, which answers over a socket.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
};

use liege_plan::{Account, AccountRecord, Act, Exit, FrameReader, FromInit, Identity, Names, encode, fork};
use liege_sys::{
    fds::{self, O_NONBLOCK},
    process,
};

use crate::{
    accounts::{Files, find},
    init::{End, Init},
    spawn,
    walk::{Outcome, Patience},
};

/// No passwd file of one vassal's root is longer.
const LONGEST: u64 = 4 << 20;

impl Init {
    /// Finds the numbers and makes them the identity of every later step of the user.
    pub(crate) fn find_identity(&mut self, names: &Names, patience: &Patience) -> Result<Outcome, End> {
        Ok(match self.find(names, false, patience)? {
            Ok((identity, account)) => {
                self.say(&FromInit::Identified { identity: identity.clone() });
                self.later.identity = Some(identity);
                self.env.found(account);
                Outcome::Fine
            }
            Err(outcome) => outcome,
        })
    }

    /// The act with the numbers of this owner in the place of names.
    pub(crate) fn find_owner(
        &mut self,
        (path, user, group): (&str, &Account, &Account),
        as_user: bool,
        patience: &Patience,
    ) -> Result<Result<Act, Outcome>, End> {
        let names = Names { user: user.clone(), group: group.clone(), more: Vec::new(), initgroups: false };
        let found = self.find(&names, as_user, patience)?;
        Ok(found.map(|(owner, _)| Act::Chown(path.to_owned(), Account::Number(owner.uid), Account::Number(owner.gid))))
    }

    /// Their numbers and what is said of the user, or what the step has come to without them.
    fn find(&mut self, names: &Names, as_user: bool, patience: &Patience) -> Result<Result<Found, Outcome>, End> {
        let failed = |errno: i32, detail: String| Ok(Err(Outcome::Failed { errno, detail }));
        let (ours, theirs) = match fds::socketpair() {
            Ok(pair) => pair,
            Err(errno) => return failed(errno as i32, "make a socket".into()),
        };
        // A root on a FUSE mount of the user's may be his alone to read.
        let identity = self.later.identity.as_ref().filter(|_| as_user);
        let look = || {
            let taken = spawn::take(identity).map_err(|errno| format!("take the vassal's identity: {errno}"));
            tell(&theirs, &taken.and_then(|()| look_up(names)))
        };
        let pid = match process::fork_in_place(&self.one_thread, look) {
            Ok(pid) => pid,
            Err(errno) => return failed(errno as i32, fork::FOR_STEP.into()),
        };
        drop(theirs);
        match self.wait_for_job(pid, patience)? {
            None => return Ok(Err(Outcome::Interrupted)),
            Some(Exit::Code(0)) => {}
            Some(exit) => return failed(0, format!("the look into its files ended with status {}", exit.status())),
        }
        match hear(ours) {
            Some(Ok(found)) => Ok(Ok(found)),
            Some(Err(why)) => failed(0, why),
            None => failed(0, "the look into its files gave no answer".into()),
        }
    }
}

/// The numbers, and the user's line where it has one.
type Found = (Identity, Option<AccountRecord>);

/// In the child.
fn look_up(names: &Names) -> Result<Found, String> {
    let named = |account: &Account| matches!(account, Account::Name(_));
    let needs_groups = names.initgroups || named(&names.group) || names.more.iter().any(named);
    let needs_users = names.initgroups || named(&names.user);
    let files = Files {
        // A number needs no file; what it says of the number's home is welcome.
        passwd: if needs_users { read("/etc/passwd")? } else { read("/etc/passwd").unwrap_or(None) },
        group: if needs_groups { read("/etc/group")? } else { None },
    };
    let identity = find(names, &files)?;
    let account = files.account(identity.uid);
    Ok((identity, account))
}

/// None: there is no such file.
fn read(path: &str) -> Result<Option<Vec<u8>>, String> {
    // Not blocked by a fifo nobody writes to.
    let file = match OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{path} of this root: {error}")),
    };
    let mut text = Vec::new();
    if !file.metadata().is_ok_and(|meta| meta.is_file()) {
        return Err(format!("{path} of this root is no regular file"));
    }
    file.take(LONGEST + 1).read_to_end(&mut text).map_err(|error| format!("{path} of this root: {error}"))?;
    if text.len() as u64 > LONGEST {
        return Err(format!("{path} of this root is longer than {} MiB", LONGEST >> 20));
    }
    Ok(Some(text))
}

fn tell(socket: &std::os::fd::OwnedFd, answer: &Result<Found, String>) -> i32 {
    let Ok(bytes) = encode(answer) else { return 1 };
    match socket.try_clone().map(File::from).and_then(|mut socket| socket.write_all(&bytes)) {
        Ok(()) => 0,
        Err(_) => 1,
    }
}

/// The child has ended, so all it said is there.
fn hear(socket: std::os::fd::OwnedFd) -> Option<Result<Found, String>> {
    let mut bytes = Vec::new();
    File::from(socket).read_to_end(&mut bytes).ok()?;
    let mut frames = FrameReader::default();
    frames.push(&bytes);
    frames.next().ok()?
}
