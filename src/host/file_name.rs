//! A vassal's name as the name of a file.

use std::fmt::Write;

/// Longer ones are cut. What is made of a name gets endings (`.json`, `.new`, `~9`), and 255 bytes is what file systems take.
const LONGEST: usize = 200;
/// Of one that is cut so much is left, before its digest.
const KEPT: usize = 160;

/// A name that is a path has its slashes written as `%2f`. No name leads out of the directory it is looked for in. One that is
/// too long ends in a digest of the whole, behind `%~`, which no other name has.
pub(crate) fn file_name(vassal: &str) -> String {
    let whole = match vassal {
        "." => "%2e".to_owned(),
        ".." => "%2e%2e".to_owned(),
        _ => vassal.replace('%', "%25").replace('/', "%2f"),
    };
    if whole.len() <= LONGEST {
        return whole;
    }
    let end = (0..=KEPT).rev().find(|at| whole.is_char_boundary(*at)).unwrap_or_default();
    let mut cut = whole[..end].to_owned();
    write!(cut, "%~{:032x}", digest(vassal.as_bytes())).unwrap_or_default(); // a String takes everything
    cut
}

/// FNV-1a. What lies under a name is also marked with its owner, so nothing depends on its being hard to meet.
fn digest(bytes: &[u8]) -> u128 {
    let step = |hash: u128, byte: &u8| (hash ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
    bytes.iter().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_file_of_its_own_right_here() {
        assert_eq!(file_name("shop.ini"), "shop.ini");
        assert_eq!(file_name("/etc/v/../a b.ini"), "%2fetc%2fv%2f..%2fa b.ini");
        assert_eq!([file_name(".."), file_name("."), file_name("%2e%2e")], ["%2e%2e", "%2e", "%252e%252e"]);
    }

    #[test]
    fn a_long_name_has_room_for_endings_and_is_nobody_elses() {
        for long in ["x".repeat(254), "/very/long".repeat(300), "\u{e9}".repeat(120)] {
            let (one, other) = (file_name(&long), file_name(&format!("{long}y")));
            assert!(one.len() <= LONGEST && other.len() <= LONGEST && one != other, "{one}");
            assert!(one.contains("%~") && !one.contains('/'));
        }
        let whole = "x".repeat(LONGEST);
        assert_eq!(file_name(&whole), whole);
        assert_eq!(digest(b"a"), 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964, "as the reference says");
    }
}
