//! Whoever has no pid namespace of its own can still inherit its orphans.

/// Makes this process the parent of every descendant whose own parent dies (`PR_SET_CHILD_SUBREAPER`). Not inherited by
/// children, kept across exec.
///
/// # Errors
/// None that the kernel documents.
pub fn enable() -> nix::Result<()> {
    nix::sys::prctl::set_child_subreaper(true)
}
