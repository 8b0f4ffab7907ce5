//! Values as uWSGI understands them: booleans, numbers, durations, signals, modes, words.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// uWSGI's booleans: everything is true but `false`, `off`, `no` (in any case) and `0`; no value at all is true.
pub(crate) fn boolean(value: &str) -> bool {
    !(["false", "off", "no"].iter().any(|word| value.eq_ignore_ascii_case(word)) || value == "0")
}

/// A number that is not negative. uWSGI takes the digits in front and ignores the rest; liege says so instead.
pub(crate) fn integer(value: &str) -> Result<u64, String> {
    if value.is_empty() {
        return Ok(0);
    }
    value.parse().map_err(|_| format!("\"{value}\" is no number"))
}

/// Bytes: a number, and perhaps K, M or G (of 1024).
pub(crate) fn bytes(value: &str) -> Result<u64, String> {
    let (digits, unit) = match value.char_indices().last() {
        Some((at, 'K' | 'k')) => (&value[..at], 1 << 10),
        Some((at, 'M' | 'm')) => (&value[..at], 1 << 20),
        Some((at, 'G' | 'g')) => (&value[..at], 1 << 30),
        _ => (value, 1),
    };
    let number = digits.parse::<u64>().map_err(|_| format!("\"{value}\" is no number of bytes such as 65536 or 8M"))?;
    number.checked_mul(unit).ok_or_else(|| "is more than there can be".to_owned())
}

/// Longer than any daemon runs, and short enough to be added to any clock.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// Shorter intervals are a busy loop.
const SHORTEST: Duration = Duration::from_millis(10);

/// Seconds, with decimals.
pub(crate) fn seconds(value: &str) -> Result<Duration, String> {
    let plain = !value.is_empty() && value.chars().all(|c| c.is_ascii_digit() || c == '.');
    let number = if plain { value.parse::<f64>().ok() } else { None };
    number
        .and_then(|number| Duration::try_from_secs_f64(number).ok())
        .ok_or_else(|| format!("\"{value}\" is no number of seconds"))
        .and_then(|time| if time > LONGEST { Err("more than ten years".into()) } else { Ok(time) })
}

/// Seconds above zero.
pub(crate) fn positive_seconds(value: &str) -> Result<Duration, String> {
    seconds(value).and_then(|time| match time {
        Duration::ZERO => Err("must be more than 0 seconds".into()),
        time if time < SHORTEST => Err("must be at least 0.01 seconds".into()),
        time => Ok(time),
    })
}

/// An octal mode of three or four digits.
pub(crate) fn octal(value: &str) -> Result<u32, String> {
    let digits = (3..=4).contains(&value.len()) && value.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    let mode = if digits { u32::from_str_radix(value, 8).ok() } else { None };
    mode.ok_or_else(|| format!("\"{value}\" is no octal mode such as 0755"))
}

/// Signals by name, with or without `SIG`, or by number.
pub(crate) fn signal(value: &str) -> Result<i32, String> {
    const NAMES: [(&str, i32); 14] = [
        ("HUP", 1),
        ("INT", 2),
        ("QUIT", 3),
        ("ABRT", 6),
        ("KILL", 9),
        ("USR1", 10),
        ("USR2", 12),
        ("ALRM", 14),
        ("TERM", 15),
        ("CONT", 18),
        ("STOP", 19),
        ("TSTP", 20),
        ("URG", 23),
        ("WINCH", 28),
    ];
    let upper = value.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let known = NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    known
        .or_else(|| name.parse().ok().filter(|number| (1..=64).contains(number)))
        .ok_or_else(|| format!("\"{value}\" is no signal"))
}

/// `127.0.0.1:9153`, `[::1]:9153`; as in uWSGI `:9153` is the port on every IPv4 address. Names are not looked up: a listener
/// must not depend on a resolver.
pub(crate) fn socket_address(value: &str) -> Result<SocketAddr, String> {
    let address = match value.strip_prefix(':') {
        Some(port) => port.parse().ok().map(|port: u16| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))),
        None => value.parse().ok(),
    };
    address.ok_or_else(|| format!("\"{value}\" is no address and port in numbers such as 127.0.0.1:9153"))
}

/// A name by which a server is asked for, in lower case; a port behind it and a dot at its end are left out.
pub(crate) fn host_name(value: &str) -> Result<String, String> {
    let name = match value.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => value,
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| {
        let is_of_a_label = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        (1..=63).contains(&label.len()) && label.chars().all(is_of_a_label) && !label.starts_with('-') && !label.ends_with('-')
    };
    if name.len() <= 253 && name.split('.').all(is_label) {
        return Ok(name.to_ascii_lowercase());
    }
    let why = match name {
        _ if !name.is_ascii() => ": other letters are written in their ASCII form (xn--...)",
        _ if name.contains('*') => ": there are no patterns",
        _ if name.contains('/') => ": neither scheme nor path belongs to it",
        _ => "",
    };
    Err(format!("\"{value}\" is no host name{why}"))
}

/// Shell words without a shell: blanks separate, quotes and backslashes keep together, nothing is expanded.
pub(crate) fn shell_words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match c {
            ' ' | '\t' => words.extend(word.take()),
            '\'' | '"' => quoted(c, &mut rest, word.get_or_insert_default())?,
            '\\' => word.get_or_insert_default().push(rest.next().ok_or("ends in a lone backslash")?),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

fn quoted(quote: char, rest: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), String> {
    loop {
        match rest.next() {
            None => return Err(format!("the quote {quote} is never closed")),
            Some(c) if c == quote => return Ok(()),
            // Inside double quotes a backslash escapes these alone, as in a shell.
            Some('\\') if quote == '"' => match rest.next() {
                Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                Some(c) => word.extend(['\\', c]),
                None => {}
            },
            Some(c) => word.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans() {
        for (value, is) in [("", true), ("true", true), ("1", true), ("x", true), ("OFF", false), ("no", false), ("0", false)] {
            assert_eq!(boolean(value), is, "{value:?}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        assert_eq!(seconds("3"), Ok(Duration::from_secs(3)));
        for wrong in ["", "-1", "1s", "inf", "nan", "1e9", ".", "1.2.3", "99999999999999999999999"] {
            assert!(seconds(wrong).is_err(), "{wrong:?}");
        }
        assert!(positive_seconds("0.0").is_err());
    }

    #[test]
    fn addresses() {
        for (value, is) in [("127.0.0.1:9153", "127.0.0.1:9153"), ("[::1]:0", "[::1]:0"), (":80", "0.0.0.0:80")] {
            assert_eq!(socket_address(value), Ok(is.parse().unwrap()), "{value:?}");
        }
        for wrong in ["", "9153", "127.0.0.1", "localhost:80", ":", ":65536", "::1:80", "127.0.0.1:80 ", "unix:/x"] {
            assert!(socket_address(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn host_names() {
        for (value, is) in [
            ("liege.example.com", "liege.example.com"),
            ("Liege.Example.COM.:8443", "liege.example.com"),
            ("web-1", "web-1"),
            ("my_proxy:80", "my_proxy"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("192.0.2.7", "192.0.2.7"),
        ] {
            assert_eq!(host_name(value).as_deref(), Ok(is), "{value:?}");
        }
        let (label, name) = ("a".repeat(64), vec!["a".repeat(63); 4].join("."));
        for wrong in [
            "",
            ".",
            "a..b",
            "a:",
            "a:b",
            "a b",
            "a,b",
            "*.a",
            "http://a",
            "a/b",
            "-a",
            "a-",
            "::1",
            "b\u{fc}cher",
            "a\n",
            &label,
            &name,
        ] {
            assert!(host_name(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn words() {
        for (line, meant) in [
            ("a  b", vec!["a", "b"]),
            ("'a b' \"c d\"e", vec!["a b", "c de"]),
            ("a\\ b ''", vec!["a b", ""]),
            ("\"a\\\"b\\n\" '$x \\'", vec!["a\"b\\n", "$x \\"]),
            ("  ", vec![]),
        ] {
            assert_eq!(shell_words(line).unwrap(), meant, "{line}");
        }
        for wrong in ["'a", "\"a", "a\\"] {
            assert!(shell_words(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn signals_and_modes() {
        assert_eq!((signal("TERM"), signal("sigusr2"), signal("28")), (Ok(15), Ok(12), Ok(28)));
        assert!(signal("0").is_err() && signal("TRM").is_err());
        assert_eq!((octal("755"), octal("0022")), (Ok(0o755), Ok(0o022)));
        assert!(octal("8").is_err() && octal("0799").is_err());
    }
}
