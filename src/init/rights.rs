//! What init may still do once the steps are done: as little as its later duties need.
//!
//! Only effective and permitted shrink. The bounding set stays whole, so whatever init executes as root (uwsgi, a hook)
//! gets all rights back by exec, and setuid fusermount still mounts for a user.

use liege_plan::{Act, Step};
use liege_sys::caps;

/// Always: signals to the app, its identity at the next start, and the way to a program root may see but not everybody.
const ALWAYS: u64 = caps::KILL | caps::SETUID | caps::SETGID | caps::DAC_READ_SEARCH;

/// What steps like these need when init does them itself. A reload repeats steps of the first walk, so those count.
pub(crate) fn needed<'a>(steps: impl Iterator<Item = &'a Step>) -> u64 {
    steps.filter(|step| !step.as_user).fold(ALWAYS, |all, step| all | needed_by(&step.act))
}

/// Gives the rest up. A refusal is impossible (less is always allowed) and would leave us as we were.
pub(crate) fn trim(needed: u64) {
    let _ = caps::keep(needed);
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
        // Programs get their rights back by exec; the others need none.
        Act::Exec(_) | Act::Chdir(_) | Act::Putenv(_) | Act::Umask(_) | Act::Print(_) | Act::Exit(_) => 0,
    }
}
