//! One line that mounts, and the calls it takes.
//!
//! The kernel does one thing a call: a bind passes over `ro` and `private` in silence, a change of the propagation mounts
//! nothing. uWSGI makes one call of every line, so there the other words are lost; here each gets its call, in the order that
//! leaves no moment in which the mount is more than it should be for those outside.

use liege_plan::{Act, Mount, MountAttributes, MountFlags};

/// The acts of a `mount:` line, in order.
pub(crate) fn calls(line: Mount) -> Vec<Act> {
    let has = |bits: u64| line.flags.0 & bits != 0;
    let (propagation, attributes) = (line.flags.0 & MountFlags::PROPAGATION, line.flags.0 & MountFlags::ATTRIBUTES);
    let recursive = has(MountFlags::REC);
    let none = line.fstype.is_empty() || line.fstype == "none";
    let only_propagation = propagation != 0 && none && !has(MountFlags::BIND | MountFlags::MOVE | MountFlags::REMOUNT);
    let with = |flags: u64| Act::Mount(Mount { flags: MountFlags(flags), ..line.clone() });
    if only_propagation {
        return vec![with(line.flags.0)];
    }
    let mut calls = Vec::new();
    // A new mount and a remount take their attributes with them; what exists already gets them afterwards.
    if has(MountFlags::BIND | MountFlags::MOVE) && !has(MountFlags::REMOUNT) {
        calls.push(with(line.flags.0 & !MountFlags::PROPAGATION & !MountFlags::ATTRIBUTES));
        if attributes != 0 {
            let flags = MountFlags(attributes);
            calls.push(Act::SetMountAttributes(MountAttributes { target: line.target.clone(), flags, recursive }));
        }
    } else {
        calls.push(with(line.flags.0 & !MountFlags::PROPAGATION));
    }
    if propagation != 0 {
        let (fstype, source, data) = (String::new(), "none".to_owned(), String::new());
        let flags = MountFlags(propagation | line.flags.0 & MountFlags::REC);
        calls.push(Act::Mount(Mount { fstype, source, target: line.target, flags, data }));
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;
    use liege_plan::describe_act;

    fn said(fstype: &str, flags: u64) -> Vec<String> {
        let [fstype, source, target, data] = [fstype, "/a", "/b", ""].map(str::to_owned);
        calls(Mount { fstype, source, target, flags: MountFlags(flags), data }).iter().map(describe_act).collect()
    }

    #[test]
    fn each_word_gets_the_call_that_heeds_it() {
        let (bind, rec, remount, moved) = (MountFlags::BIND, MountFlags::REC, MountFlags::REMOUNT, MountFlags::MOVE);
        let (ro, nosuid, private, slave) = (1, 2, 1 << 18, 1 << 19);
        for (fstype, flags, calls) in [
            ("tmpfs", nosuid, &["mount tmpfs /a on /b nosuid"][..]),
            ("tmpfs", nosuid | private, &["mount tmpfs /a on /b nosuid", "mount none none on /b private"]),
            ("none", private | rec, &["mount none /a on /b rec,private"]),
            ("", private, &["mount none /a on /b private"]),
            ("none", bind, &["mount none /a on /b bind"]),
            ("none", bind | ro, &["mount none /a on /b bind", "make the mount /b ro"]),
            (
                "",
                bind | rec | ro | nosuid | slave,
                &[
                    "mount none /a on /b bind,rec",
                    "make the mount /b and everything below it ro,nosuid",
                    "mount none none on /b rec,slave",
                ],
            ),
            ("none", moved | private, &["mount none /a on /b move", "mount none none on /b private"]),
            ("none", remount | bind | ro, &["mount none /a on /b remount,bind,ro"]),
            ("none", remount | ro | slave, &["mount none /a on /b remount,ro", "mount none none on /b slave"]),
        ] {
            assert_eq!(said(fstype, flags), calls);
        }
    }
}
