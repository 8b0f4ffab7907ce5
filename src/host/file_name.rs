//! A vassal's name as the name of a file.

/// A name that is a path has its slashes written as `%2f`. No name leads out of the directory it is looked for in.
pub(crate) fn file_name(vassal: &str) -> String {
    match vassal {
        "." => "%2e".to_owned(),
        ".." => "%2e%2e".to_owned(),
        _ => vassal.replace('%', "%25").replace('/', "%2f"),
    }
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn every_name_is_a_file_of_its_own_right_here() {
        assert_eq!(file_name("shop.ini"), "shop.ini");
        assert_eq!(file_name("/etc/v/../a b.ini"), "%2fetc%2fv%2f..%2fa b.ini");
        assert_eq!([file_name(".."), file_name("."), file_name("%2e%2e")], ["%2e%2e", "%2e", "%252e%252e"]);
    }
}
