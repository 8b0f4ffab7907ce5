//! A vassal's name as the name of a file.

/// A name that is a path has its slashes written as `%2f`.
pub(crate) fn file_name(vassal: &str) -> String {
    vassal.replace('%', "%25").replace('/', "%2f")
}
