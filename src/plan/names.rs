//! Who a vassal becomes, and to whom it gives its files, where only its own root knows the numbers.

use serde::{Deserialize, Serialize};

/// Names and numbers of an identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// The user.
    pub user: Account,
    /// The group.
    pub group: Account,
    /// The supplementary groups, where they were listed.
    pub more: Vec<Account>,
    /// The user's own supplementary groups.
    pub initgroups: bool,
}

/// A user or a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Account {
    /// As it is.
    Number(u32),
    /// To be found.
    Name(String),
}

impl std::fmt::Display for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}
