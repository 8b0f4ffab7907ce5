//! `liege-init`: pid 1 of a vassal. It is born, lives by its plan, and leaves; whatever it knows of the world it was told
//! over one socket (fd 3), and whatever it says goes back the same way.
//!
//! One thread, one `poll`, no name service, no decision: the order of the steps came with the plan. It never relies on
//! `PDEATHSIG` (which fires when a *thread* ends); it sees its host's end as the end of the socket.

mod accounts;
mod app;
mod channel;
mod clock;
mod daemons;
mod env;
mod exits;
mod hearing;
mod hint;
mod identity;
mod init;
mod leave;
mod life;
mod logger;
mod mounts;
mod orphans;
mod outbox;
mod output;
mod reap;
mod relay;
mod rights;
mod save;
mod spawn;
mod steps;
mod walk;

fn main() {
    let Some(mut init) = init::Init::born() else {
        return;
    };
    let end = life::live(&mut init);
    leave::leave(&mut init, end)
}
