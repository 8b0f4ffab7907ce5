//! A probe of a watched mount answered.
//!
//! A dead mount destroys the whole instance at once: nothing in it can be trusted, and nothing polite reaches an app that waits
//! for a file system without a daemon. Hung, slow and gone mounts get their arms here when the prober can tell them apart.

use super::{Phase, Vassal};
use crate::{Cause, Health, Note, cause::errno_name, emperor::Context};

impl Vassal {
    pub(crate) fn probed(&mut self, path: &str, health: Health, micros: u64, cx: &mut Context<'_>) {
        match self.phase {
            Phase::Running | Phase::Reloading => {
                let Some(mount) = self.life.as_mut().and_then(|l| l.mounts.iter_mut().find(|m| m.path == path)) else {
                    return; // no longer watched
                };
                mount.micros = micros;
                match health {
                    Health::Healthy => {
                        if mount.health.replace(health) != Some(Health::Healthy) {
                            self.note_mount(path, "healthy", String::new(), cx);
                        }
                    }
                    Health::Dead { errno } => {
                        mount.health = Some(health);
                        self.note_mount(path, "dead", errno_name(errno), cx);
                        self.kill(Cause::MountpointDead { path: path.to_owned(), errno }, cx);
                    }
                    // Says nothing about the mount: what was last known stays.
                    Health::Unknown { .. } => {}
                }
            }
            // The answer came after the question had lost its meaning.
            Phase::Waiting | Phase::Spawning | Phase::Preparing | Phase::Stopping | Phase::Killing | Phase::Gone => {}
        }
    }

    fn note_mount(&self, path: &str, state: &str, detail: String, cx: &mut Context<'_>) {
        cx.note(Note::Mount { vassal: self.name.clone(), path: path.to_owned(), state: state.to_owned(), detail });
    }
}
