//! What the C library's allocator keeps of the memory it was given back.
//!
//! glibc gives each thread that allocates an arena of its own, up to eight for each processor, and keeps what was freed in it. What
//! one thread freed does not serve another one, so a daemon with pools of threads keeps the most each of them ever had.

/// Has all threads of this process share a few arenas. To be called before the first thread is started.
pub fn share_arenas() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it sets a number of the allocator's, under the allocator's lock; no memory is handed over.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}

/// Gives the kernel back what is free in all arenas. Takes milliseconds where much is free in small pieces.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it touches only what is free, under the locks of the arenas.
    unsafe {
        libc::malloc_trim(0);
    }
}
