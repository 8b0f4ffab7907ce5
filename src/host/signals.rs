//! The signals of the daemon as one async stream.
//!
//! A signal only *names* something: SIGCHLD says "look", the others say what an operator wants, with uWSGI's meanings. Several
//! of one kind may be merged into one by the kernel, so a SIGCHLD is never counted.

use std::io;

use futures::{Stream, StreamExt, stream};
use liege_core::{Order, ROOT, Request};
use tokio::signal::unix::{SignalKind, signal};

/// What a signal means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// CHLD: at least one child can be reaped, perhaps none any more, perhaps many.
    ChildEnded,
    /// INT, TERM, QUIT, HUP, URG, WINCH: a wish for the core.
    Asked(Request),
    /// USR1: one log line for each vassal.
    Report,
}

/// All signals the daemon listens to. From this call on none of them has its default effect.
///
/// # Errors
/// The runtime's signal pipe cannot be made.
pub(crate) fn signals() -> io::Result<impl Stream<Item = Told> + Unpin> {
    let kinds = [
        (SignalKind::child(), Told::ChildEnded),
        (SignalKind::interrupt(), Told::Asked(Request::Shutdown)),
        (SignalKind::terminate(), Told::Asked(Request::Shutdown)),
        (SignalKind::quit(), Told::Asked(Request::Shutdown)),
        (SignalKind::hangup(), Told::Asked(Request::Each { order: Order::Reload, by: ROOT })),
        (SignalKind::from_raw(nix::libc::SIGURG), Told::Asked(Request::Each { order: Order::Clear, by: ROOT })),
        (SignalKind::window_change(), Told::Asked(Request::Rescan)),
        (SignalKind::user_defined1(), Told::Report),
    ];
    // Their default is to end the daemon and, with it, every vassal. Listening once takes that away for good.
    for kind in [SignalKind::user_defined2(), SignalKind::alarm(), SignalKind::io()] {
        drop(signal(kind)?);
    }
    let mut streams = Vec::new();
    for (kind, told) in kinds {
        let mut arrivals = signal(kind)?;
        streams.push(stream::poll_fn(move |cx| arrivals.poll_recv(cx)).map(move |()| told.clone()));
    }
    Ok(stream::select_all(streams))
}
