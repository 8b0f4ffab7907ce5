//! Whether a request asks for this listener by a name of its own: the guard against DNS rebinding.
//!
//! A foreign page in an operator's browser can have its own name resolve to this listener's address. For the browser the answers
//! are then the page's own, and it may read them. What gives it away is `Host`, which a page cannot choose: it has the foreign name.
//!
//! | `Host` | |
//! |---|---|
//! | none, or empty | answered: every browser sends one |
//! | an IP address | answered: no name that could resolve to anything else |
//! | `localhost`, the machine's node name and its first label | answered |
//! | a name of `emperor-metrics-host` | answered |
//! | anything else | 421 |
//!
//! The port behind the name is not compared: a forwarded port is another one. What the resolver knows of this machine is not asked:
//! an answer must not depend on it.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The names that `emperor-metrics-host` gives the listener, in lower case and without a dot at their end.
#[derive(Clone, Debug)]
pub(super) struct Hosts(Vec<String>);

impl Hosts {
    pub(super) fn new(given: Vec<String>) -> Self {
        Self(given)
    }

    /// Whether a `Host`, or the authority of a request's target, means this listener.
    pub(super) fn admits(&self, host: &str) -> bool {
        // The node name may change while the daemon runs, and costs one call.
        let node = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
        self.admits_on(host, &node)
    }

    fn admits_on(&self, host: &str, node: &str) -> bool {
        if let Some(rest) = host.strip_prefix('[') {
            return rest.split_once(']').is_some_and(|(address, port)| address.parse::<Ipv6Addr>().is_ok() && is_port(port));
        }
        let (name, port) = host.find(':').map_or((host, ""), |at| host.split_at(at));
        let name = name.strip_suffix('.').unwrap_or(name);
        let short = node.split('.').next().unwrap_or_default();
        let is_own = || ["localhost", node, short].iter().any(|own| name.eq_ignore_ascii_case(own));
        let is_given = || self.0.iter().any(|given| name.eq_ignore_ascii_case(given));
        is_port(port) && (name.is_empty() || name.parse::<Ipv4Addr>().is_ok() || is_own() || is_given())
    }
}

/// Nothing, or a colon and digits.
fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.bytes().all(|digit| digit.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_names_are_answered_and_no_others() {
        let hosts = Hosts::new(vec!["liege.example.com".into(), "proxy".into()]);
        for own in [
            "",
            "127.0.0.1",
            "192.0.2.7:9153",
            "[::1]",
            "[2001:db8::7]:80",
            "localhost",
            "LocalHost:9153",
            "localhost.",
            "localhost:",
            "web1",
            "WEB1.dc.example.net:9153",
            "liege.example.com",
            "Liege.Example.COM.:443",
            "proxy:8443",
        ] {
            assert!(hosts.admits_on(own, "web1.dc.example.net"), "{own:?}");
        }
        for foreign in [
            "evil.example",
            "localhost.evil.example",
            "evil.localhost",
            "127.0.0.1.evil.example",
            "127.0.0.1.evil.example:9153",
            "0x7f000001",
            "2130706433",
            "127.1",
            "::1",
            "[::1",
            "[evil.example]",
            "[::1]evil.example",
            "[::1%lo]",
            "dc.example.net",
            "web1.evil.example",
            "web2",
            "example.com",
            "sub.proxy",
            "proxy:80:90",
            "proxy:x",
            "proxy/",
            "user@proxy",
            "proxy..",
            " proxy",
            "proxy, evil.example",
        ] {
            assert!(!hosts.admits_on(foreign, "web1.dc.example.net"), "{foreign:?}");
        }
        assert!(!Hosts::new(Vec::new()).admits_on("evil.example", ""), "a machine without a name");
    }
}
