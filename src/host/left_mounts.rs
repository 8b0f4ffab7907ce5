//! FUSE mounts that a life without a mount namespace of its own has left on the host.
//!
//! Init unmounts them. It cannot where it was killed, or where no process can be made for it. One that stays is dead, and in the way of the next
//! life of the vassal, which mounts at the same place. So what init has told of last is looked for when the life is over, and detached.
//!
//! Races: the number of a mount, and that of a connection, may be another's by then. Both must be those init has told, at the same place.

use liege_plan::HostMount;
use liege_sys::{mount::detach_exactly, mountinfo};

/// Takes away what stands of these. Blocks.
pub(crate) fn take_away(left: &[HostMount]) {
    let Ok(table) = mountinfo::own() else { return };
    for mount in left {
        let is_it = |line: &mountinfo::Mount| {
            line.is_fuse()
                && (line.id, line.device.1) == (mount.id, mount.minor)
                && line.mount_point.to_str() == Some(&*mount.point)
        };
        if let Some(line) = table.iter().rev().find(|line| is_it(line))
            && let Err(errno) = detach_exactly(line.mount_point.as_ref(), line.id)
        {
            tracing::warn!(target: "vassal", "{:?} stays mounted on the host, and dead: {errno}. umount -l it", mount.point);
        }
    }
}
