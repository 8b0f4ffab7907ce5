//! Which sockets listen where an app wanted to, and which processes hold them.
//!
//! One task looks for all who ask: [`Listeners::find`]. A walk over the descriptors of all processes costs milliseconds, so requests
//! that come meanwhile share the next one, and between two walks is a rest: a vassal that fails over and over burns little with them.
//! One that was not answered in time is not told anything; its life does not wait longer.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use liege_core::{Address, Holder, Listener};
use liege_sys::sockets;
use tokio::{
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};

use crate::workers::QUESTIONS;

/// A life that is over waits so long for the answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two walks there is a rest of so many times what the first has taken.
const REST: u32 = 4;
/// Requests answered by one walk.
const AT_ONCE: usize = 1024;

/// The sending end.
#[derive(Debug)]
pub(crate) struct Listeners(mpsc::Sender<Question>);

#[derive(Debug)]
struct Question {
    wanted: Vec<Address>,
    answer: oneshot::Sender<Vec<Listener>>,
}

impl Listeners {
    /// Starts the task; it ends when this is dropped.
    pub(crate) fn new() -> Self {
        let (sender, questions) = mpsc::channel(AT_ONCE);
        tokio::spawn(serve(questions));
        Self(sender)
    }

    /// Those that listen on one of these addresses, in the network namespace of this process. None: they could not be found in time.
    pub(crate) fn find(&self, wanted: Vec<Address>) -> impl Future<Output = Option<Vec<Listener>>> + Send + use<> {
        let (answer, answered) = oneshot::channel();
        // More than are answered at once: they go without.
        self.0.try_send(Question { wanted, answer }).ok();
        async move { timeout(PATIENCE, answered).await.ok()?.ok() }
    }
}

async fn serve(mut questions: mpsc::Receiver<Question>) {
    let mut asked = Vec::new();
    while questions.recv_many(&mut asked, AT_ONCE).await > 0 {
        let asked: Vec<Question> = asked.drain(..).filter(|question| !question.answer.is_closed()).collect();
        let walk = QUESTIONS.run(move || {
            let began = Instant::now();
            let wanted: Vec<&[Address]> = asked.iter().map(|question| &question.wanted[..]).collect();
            let found = find(&wanted);
            for (question, found) in asked.into_iter().zip(found) {
                question.answer.send(found).ok(); // who has waited long enough is gone
            }
            began.elapsed()
        });
        if let Ok(took) = walk.await {
            sleep(took * REST).await;
        }
    }
}

/// For each list of addresses those that are taken, in its order. Blocks.
fn find(wanted: &[&[Address]]) -> Vec<Vec<Listener>> {
    let listening = sockets::all_listening();
    let taken: Vec<Vec<(&Address, u64)>> = wanted
        .iter()
        .map(|wanted| {
            let taken =
                |address: &'_ &Address| listening.iter().find(|(_, place)| address.is_taken_by(place)).map(|(inode, _)| *inode);
            wanted.iter().filter_map(|address| Some((address, taken(&address)?))).collect()
        })
        .collect();
    let inodes: HashSet<u64> = taken.iter().flatten().map(|(_, inode)| *inode).collect();
    let holders: HashMap<u64, sockets::Holder> = if inodes.is_empty() { HashMap::new() } else { sockets::holders(inodes) };
    let listener = |(address, inode): &(&Address, u64)| Listener {
        address: (*address).clone(),
        holder: holders.get(inode).cloned().map(|sockets::Holder { pid, name, below, sees_our_mounts }| Holder {
            pid,
            name,
            below,
            sees_our_mounts,
        }),
    };
    taken.iter().map(|taken| taken.iter().map(listener).collect()).collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn each_who_asks_is_told_what_listens_there() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = |ip: &str| Address::Port { ip: Some(ip.parse().unwrap()), port: held.local_addr().unwrap().port() };
        let listeners = Listeners::new();
        let (one, two) = tokio::join!(listeners.find(vec![at("127.0.0.1")]), listeners.find(vec![at("127.0.0.2")]));
        let one = one.unwrap();
        let holder = one[0].holder.as_ref().unwrap();
        assert_eq!((one.len(), holder.pid, holder.sees_our_mounts), (1, i32::try_from(std::process::id()).unwrap(), true));
        assert_eq!(two, Some(Vec::new()));
    }
}
