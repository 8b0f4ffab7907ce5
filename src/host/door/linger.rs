//! The end of a connection whose client may still be sending.
//!
//! A socket that is closed with something unread resets the connection, and the client hears of the reset instead of its answer. So
//! our side is shut down first, which the client reads as the end of the answer, and what it still sends is read and thrown away,
//! up to a number of bytes and for a while. How many may linger is bounded too: a further one takes the place of the oldest.

use std::{future::poll_fn, task::Poll, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};

use super::{entrance::Stream, room::Place};

/// How long it is listened to.
const TIME: Duration = Duration::from_secs(2);
/// And to how much: more than a head may have (431) before it is refused.
const MOST: usize = 1 << 20;

/// Lets a client read what it was answered.
pub(super) async fn linger(mut stream: impl Stream, mut place: Place) {
    let is_wanted = poll_fn(|cx| if place.is_lost(cx) { Poll::Ready(()) } else { Poll::Pending });
    tokio::select! {
        biased; // what is there already is read in any case
        () = drain(&mut stream) => {}
        () = sleep(TIME) => {}
        () = is_wanted => {}
    }
}

/// Shuts our side down and reads to the end of the other.
pub(super) async fn drain(stream: &mut impl Stream) {
    stream.shutdown().await.ok();
    let (mut buffer, mut left) = ([0; 4096], MOST);
    while left > 0 {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(n) => left = left.saturating_sub(n),
        }
    }
}
