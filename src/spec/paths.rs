//! Names of configuration sources: schemes, sections behind a colon, and uWSGI's hash of a path.

/// Schemes uWSGI reads a configuration from.
const SCHEMES: [&str; 9] = ["emperor", "http", "data", "sym", "section", "fd", "exec", "call", "callint"];

/// Whether a name is `scheme://...` with one of uWSGI's schemes.
pub(crate) fn has_scheme(name: &str) -> bool {
    name.split_once("://").is_some_and(|(scheme, _)| SCHEMES.contains(&scheme))
}

/// Splits `FILE:SECTION`. The last colon counts, for URLs the last one behind the last slash.
pub(crate) fn split_section(name: &str) -> (&str, Option<&str>) {
    let from = if has_scheme(name) { name.rfind('/').unwrap_or(0) } else { 0 };
    match name[from..].rfind(':') {
        Some(at) => (&name[..from + at], Some(&name[from + at + 1..])),
        None => (name, None),
    }
}

/// A path under the directory it is relative to; anything with a scheme, and `-`, is left alone.
pub(crate) fn absolute(name: &str, directory: &str) -> String {
    if name.starts_with('/') || name == "-" || name.is_empty() || has_scheme(name) {
        name.to_owned()
    } else {
        format!("{}/{name}", directory.trim_end_matches('/'))
    }
}

/// `%j`: Bernstein's hash of a path, its four bytes in hexadecimal as they lie in memory.
pub(crate) fn hash_in_hex(path: &[u8]) -> String {
    // C's `char` is signed here: a byte above 127 is extended with ones before the exclusive or.
    let hash = path.iter().fold(5381u32, |hash, byte| hash.wrapping_mul(33) ^ (*byte as i8 as u32));
    hash.to_le_bytes().iter().map(|byte| format!("{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections() {
        assert_eq!(split_section("a.ini"), ("a.ini", None));
        assert_eq!(split_section("a.ini:web"), ("a.ini", Some("web")));
        assert_eq!(split_section("a.ini:"), ("a.ini", Some("")));
        assert_eq!(split_section(":web"), ("", Some("web")));
        assert_eq!(split_section("http://host:80/a.ini"), ("http://host:80/a.ini", None));
        assert_eq!(split_section("http://host:80/a.ini:web"), ("http://host:80/a.ini", Some("web")));
    }

    #[test]
    fn the_hash_is_uwsgis() {
        assert_eq!(hash_in_hex(b"/tmp/specwork/t.ini"), "D3E12706");
    }
}
