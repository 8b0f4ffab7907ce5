//! What init may still do once the steps are done: as little as its later duties need.
//!
//! The end of the vassal needs more: to unmount, and to see which process serves a mount. These rights are *parked*: permitted, without
//! effect until the end begins, but for the moment in which init looks who serves a mount that has come.
//!
//! Only effective and permitted shrink. The bounding set stays as the emperor left it, so whatever init executes as root (uwsgi, a hook)
//! gets all rights back by exec, and setuid fusermount still mounts for a user.

use liege_plan::{Act, App, Identity, Step};
use liege_sys::caps;

/// Always: signals to the app, its identity at the next start, and the way to a program root may see but not everybody.
pub(crate) const ALWAYS: u64 = caps::KILL | caps::SETUID | caps::SETGID | caps::DAC_READ_SEARCH;

/// For the end: unmounts, and a look at what the processes of others have open.
pub(crate) const PARKED: u64 = caps::SYS_ADMIN | caps::SYS_PTRACE;

/// For apps to come, where the emperor leaves it: a bound above the daemon's own, a better priority.
const BOUNDS: u64 = caps::SYS_NICE | caps::SYS_RESOURCE;

/// What steps like these need when init does them itself, or in the name of a user who is root.
pub(crate) fn needed<'a>(steps: impl Iterator<Item = &'a Step>, user: Option<&Identity>, app: &App) -> u64 {
    let is_root = user.map_or(!app.found_identity, |user| user.uid == 0);
    // What an app keeps, init must have to give; and the right to make root keep no more than that.
    let given = app.caps.map_or(0, |caps| caps | caps::SETPCAP);
    steps.filter(|step| !step.as_user || is_root).fold(ALWAYS | BOUNDS | given, |all, step| all | needed_by(&step.act))
}

/// Gives the rest up. A refusal is impossible (less is always allowed) and would leave us as we were.
pub(crate) fn trim(needed: u64) {
    let _ = caps::keep_and_park(needed, PARKED);
}

fn needed_by(act: &Act) -> u64 {
    match act {
        Act::Mount(_) | Act::SetMountAttributes(_) | Act::Umount(_) | Act::Hostname(_) => caps::SYS_ADMIN | caps::DAC_OVERRIDE,
        Act::Chown(..) => caps::CHOWN | caps::DAC_OVERRIDE,
        Act::Chmod(..) | Act::Sticky(_) => caps::FOWNER | caps::DAC_OVERRIDE,
        Act::Mkdir(_) | Act::Create(_) | Act::Write { .. } | Act::WriteFifo(..) | Act::Unlink(_) | Act::WaitFor(_) => {
            caps::DAC_OVERRIDE
        }
        // Done once, before the trim: no reload repeats them.
        Act::CutPropagation | Act::MakePrivate | Act::MountProc | Act::PivotRoot { .. } | Act::Chroot(_) => 0,
        Act::LoopbackUp | Act::Unshare(_) | Act::BoundCaps(_) | Act::KeepCaps(_) | Act::FindIdentity(_) => 0,
        // Programs get their rights back by exec; the others need none.
        Act::Exec(_) | Act::Chdir(_) | Act::Putenv(_) | Act::Surroundings { .. } | Act::Print(_) | Act::Exit(_) => 0,
    }
}
