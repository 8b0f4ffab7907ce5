//! Why a question got no good answer: what the caller tells apart.

use std::fmt;

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nobody listens.
    NoDaemon {
        /// The socket.
        socket: String,
        /// Why it could not be reached.
        why: String,
    },
    /// The daemon knows no such vassal.
    NoSuchVassal {
        /// Its name.
        name: String,
    },
    /// Several vassals have a name of which this may be the short form.
    Ambiguous {
        /// As typed.
        name: String,
        /// Their whole names.
        meant: Vec<String>,
    },
    /// The daemon said no.
    Refused {
        /// The vassal it was asked of, where it was one of several.
        vassal: Option<String>,
        /// In its words.
        why: String,
    },
    /// The daemon has ended meanwhile.
    Ended,
    /// The conversation broke off, or made no sense.
    Broken {
        /// Where.
        why: String,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDaemon { socket, why } => {
                write!(f, "no daemon answers at {socket}: {why} (another one is named with --control PATH)")
            }
            Self::NoSuchVassal { name } => write!(f, "no vassal is called {name}"),
            Self::Ambiguous { name, meant } => write!(f, "several could be meant by {name}: {}", meant.join(", ")),
            Self::Refused { vassal, why } => {
                vassal.iter().try_for_each(|vassal| write!(f, "{vassal}: "))?;
                write!(f, "refused: {why}")
            }
            Self::Ended => f.write_str("the daemon has ended"),
            Self::Broken { why } => write!(f, "the daemon's answer: {why}"),
        }
    }
}

impl std::error::Error for Failure {}
