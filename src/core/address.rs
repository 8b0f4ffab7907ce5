//! Addresses that an app wants to listen on, read off what it said and off its file.
//!
//! Both are words of programs, so an address found here is a guess. It is named as taken where the app's own line names it, or where a
//! socket is found that listens there.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use liege_spec::{ProgramSpec, VassalSpec};
use serde::{Deserialize, Serialize};

/// So many of one vassal are asked for.
const MOST: usize = 16;

/// Options of uwsgi whose value is an address.
const OF_UWSGI: [&str; 16] = [
    "fastcgi-socket",
    "http",
    "http-router",
    "http-socket",
    "http11-socket",
    "https",
    "https-socket",
    "https2",
    "raw-socket",
    "scgi-socket",
    "shared-socket",
    "socket",
    "stats",
    "stats-server",
    "stats-serv",
    "uwsgi-socket",
];

/// Options of other programs whose value is an address.
const ADDRESSES: [&str; 15] = [
    "--addr",
    "--address",
    "--bind",
    "--bind-address",
    "--http",
    "--listen",
    "--listen-address",
    "--socket",
    "--uds",
    "--unix",
    "--unix-socket",
    "-S",
    "-b",
    "-l",
    "-listen",
];

/// Options of other programs whose value is a port.
const PORTS: [&str; 5] = ["--http-port", "--listen-port", "--port", "-p", "-port"];

/// Where a socket listens, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Address {
    /// A port of TCP; of any address where none is known.
    Port {
        /// The address.
        ip: Option<IpAddr>,
        /// The port.
        port: u16,
    },
    /// The absolute path of a unix socket, or its abstract name behind `@`.
    Path(String),
}

impl Address {
    /// Whether a socket that listens at `place` (`127.0.0.1:80`, `[::]:80`, `/run/x.sock`, `@name`) keeps this address from an app.
    #[must_use]
    pub fn is_taken_by(&self, place: &str) -> bool {
        match self {
            Self::Path(path) => path == place,
            Self::Port { ip, port } => place.parse::<SocketAddr>().is_ok_and(|at| {
                let same = ip.is_none_or(|ip| ip.is_unspecified() || ip.to_canonical() == at.ip().to_canonical());
                at.port() == *port && (same || at.ip().is_unspecified())
            }),
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Port { port, .. } => write!(f, "port {port}"),
            Self::Path(path) => f.write_str(path),
        }
    }
}

/// Those that a line of an app's output names.
pub(crate) fn named_in(line: &str) -> Vec<Address> {
    let words: Vec<&str> =
        line.split(|c: char| c.is_whitespace() || "'\"`(),;=<>".contains(c)).filter(|w| !w.is_empty()).collect();
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let next = words.get(at + 1).and_then(|next| port(next.trim_end_matches(['.', ':'])));
        let is_port = word.trim_end_matches(':').eq_ignore_ascii_case("port");
        match (address(word), next) {
            (Some(address), _) => add(&mut found, address),
            (None, Some(port)) if is_port => add(&mut found, Address::Port { ip: None, port }),
            (None, Some(port)) => host(word).into_iter().for_each(|ip| add(&mut found, Address::Port { ip, port })),
            (None, None) => {}
        }
    }
    found
}

/// Those that a vassal's own file names.
pub(crate) fn named_by(spec: &VassalSpec) -> Vec<Address> {
    let mut found = match &spec.app.program {
        ProgramSpec::Uwsgi { options, .. } => {
            of_uwsgi(options).filter_map(|(_, value)| of_option(value.split(',').next().unwrap_or_default())).collect()
        }
        ProgramSpec::Command(words) => of_command(&words.value.join(" ")),
        ProgramSpec::Shell(line) | ProgramSpec::PrivilegedShell(line) => of_command(&line.value),
    };
    if found.is_empty() {
        let set = spec.app.env.iter().rev().find(|(name, _)| name == "PORT");
        found.extend(set.and_then(|(_, value)| port(value)).map(|port| Address::Port { ip: None, port }));
    }
    found.truncate(MOST);
    found
}

/// The options of a uwsgi's file whose values are addresses, as they are written.
pub(crate) fn sockets(spec: &VassalSpec) -> Vec<String> {
    let ProgramSpec::Uwsgi { options, .. } = &spec.app.program else { return Vec::new() };
    of_uwsgi(options).map(|(key, value)| format!("{key} = {value}")).collect()
}

fn of_uwsgi(options: &[(String, String)]) -> impl Iterator<Item = &(String, String)> {
    options.iter().filter(|(key, _)| OF_UWSGI.contains(&key.as_str()))
}

/// Options tell it; where there are none, the words that are no option and no option's value. An address behind another option may be
/// one that the app connects to.
fn of_command(line: &str) -> Vec<Address> {
    let words: Vec<&str> = line.split_whitespace().map(|word| word.trim_matches(['\'', '"'])).collect();
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let (option, value, then) = match word.split_once('=') {
            Some((option, value)) => (option, Some(value), words.get(at + 1)),
            None => (*word, words.get(at + 1).copied(), words.get(at + 2)),
        };
        let Some(value) = value else { continue };
        if ADDRESSES.contains(&option) {
            // `python3 -m http.server --bind 127.0.0.1 8000`
            let split = || Some(Address::Port { ip: host(value)?, port: port(then?)? });
            of_option(value).or_else(split).into_iter().for_each(|address| add(&mut found, address));
        } else if PORTS.contains(&option) {
            port(value).into_iter().for_each(|port| add(&mut found, Address::Port { ip: None, port }));
        }
    }
    if !found.is_empty() {
        return found;
    }
    for pair in words.windows(2).filter(|pair| !pair[0].starts_with('-')) {
        let counted = || Some(Address::Port { ip: None, port: port(pair[1]).filter(|_| pair[0] == "http.server")? });
        address(pair[1]).or_else(counted).into_iter().for_each(|address| add(&mut found, address));
    }
    found
}

fn add(found: &mut Vec<Address>, address: Address) {
    if found.len() < MOST && !found.contains(&address) {
        found.push(address);
    }
}

/// The value of an option that is an address: a path needs no sign that it is one.
fn of_option(value: &str) -> Option<Address> {
    let path = value.strip_prefix("unix:").unwrap_or(value);
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.len() > 1 && path.starts_with(['/', '@']) { Some(Address::Path(path.to_owned())) } else { address(value) }
}

/// A word among others. A path is one of a socket where it says so: a line may name a program or a source file too.
fn address(word: &str) -> Option<Address> {
    let word = word.trim_end_matches(['.', ':']);
    if let Some(path) = word.strip_prefix("unix:") {
        return of_option(path).filter(|address| matches!(address, Address::Path(_)));
    }
    if word.starts_with('/') {
        let name = word.rsplit('/').next().unwrap_or_default();
        return name.contains("sock").then(|| Address::Path(word.to_owned()));
    }
    let word = word.split_once("://").map_or(word, |(_, rest)| rest.split('/').next().unwrap_or_default());
    let (name, number) = word.rsplit_once(':')?;
    Some(Address::Port { ip: host(name)?, port: port(number)? })
}

/// `127.0.0.1`, `[::1]`, `::`, `*`, nothing at all. None: it is no address. Within: it may be any.
fn host(word: &str) -> Option<Option<IpAddr>> {
    match word {
        "" | "*" | "localhost" => Some(None),
        bracketed if bracketed.starts_with('[') => {
            bracketed.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(|ip| Some(ip.into()))
        }
        word => word.parse().ok().map(Some),
    }
}

fn port(word: &str) -> Option<u16> {
    word.bytes().all(|digit| digit.is_ascii_digit()).then(|| word.parse().ok().filter(|port| *port > 0)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(found: &[Address]) -> Vec<String> {
        let one = |address: &Address| match address {
            Address::Port { ip: Some(ip), port } => SocketAddr::new(*ip, *port).to_string(),
            Address::Port { ip: None, port } => format!("*:{port}"),
            Address::Path(path) => path.clone(),
        };
        found.iter().map(one).collect()
    }

    #[test]
    fn lines_of_programs_name_their_address() {
        for (line, named) in [
            (
                "probably another instance of uWSGI is running on the same address (127.0.0.1:8080). bind(): Address already in use [core/socket.c line 769]",
                &["127.0.0.1:8080"][..],
            ),
            ("OSError: [Errno 98] Address already in use", &[]),
            ("2024/05/01 12:33:44 [emerg] 12#12: bind() to 0.0.0.0:80 failed (98: Address already in use)", &["0.0.0.0:80"]),
            ("nginx: [emerg] bind() to unix:/run/x.sock failed (98: Address already in use)", &["/run/x.sock"]),
            ("nginx: [emerg] bind() to [::]:80 failed (98: Unknown error)", &["[::]:80"]),
            ("Error: listen EADDRINUSE: address already in use :::8080", &["[::]:8080"]),
            ("[ERROR] Connection in use: ('127.0.0.1', 8000)", &["127.0.0.1:8000"]),
            ("Address already in use - bind(2) for \"127.0.0.1\" port 3000 (Errno::EADDRINUSE)", &["*:3000"]),
            ("listen tcp :8080: bind: address already in use", &["*:8080"]),
            ("listen unix /run/x.sock: bind: address already in use", &["/run/x.sock"]),
            ("Failed to listen on localhost:8000 (reason: Address already in use)", &["*:8000"]),
            ("OSError: [Errno 98] Address '/run/x.sock' is already in use", &["/run/x.sock"]),
            ("File /usr/lib/python3/serve.py:12: Address already in use", &[]),
        ] {
            assert_eq!(shown(&named_in(line)), named, "{line}");
        }
    }

    #[test]
    fn a_command_names_its_address_by_its_options() {
        for (line, named) in [
            ("gunicorn --bind 127.0.0.1:8000 --redis 127.0.0.1:6379 app:app", &["127.0.0.1:8000"][..]),
            ("gunicorn -b :8000 -b unix:/run/app.sock app:app", &["*:8000", "/run/app.sock"]),
            ("uvicorn --port=8000 app:app", &["*:8000"]),
            ("uvicorn --uds /run/app app:app", &["/run/app"]),
            ("python3 -m http.server --bind 127.0.0.1 8000", &["127.0.0.1:8000"]),
            ("python3 -m http.server 8000", &["*:8000"]),
            ("manage.py runserver 0.0.0.0:8000", &["0.0.0.0:8000"]),
            ("sh -c 'php -S localhost:80'", &["*:80"]),
            ("worker --redis 127.0.0.1:6379 -n 80", &[]),
            ("sleep 1000", &[]),
        ] {
            assert_eq!(shown(&of_command(line)), named, "{line}");
        }
    }

    #[test]
    fn a_socket_of_all_addresses_takes_each_of_them() {
        let of = |text: &str| address(text).unwrap();
        for (wanted, place, taken) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "0.0.0.0:80", true),
            ("127.0.0.1:80", "[::]:80", true),
            ("0.0.0.0:80", "10.0.0.1:80", true),
            (":80", "10.0.0.1:80", true),
            ("127.0.0.1:80", "10.0.0.1:80", false),
            ("127.0.0.1:80", "127.0.0.1:8080", false),
            ("unix:/run/x.sock", "/run/x.sock", true),
            ("unix:/run/x.sock", "/run/y.sock", false),
        ] {
            assert_eq!(of(wanted).is_taken_by(place), taken, "{wanted} {place}");
        }
    }
}
