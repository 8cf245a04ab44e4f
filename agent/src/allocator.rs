//! The allocator, and how little it keeps: small pages from the first allocation on, and what is freed
//! goes back to the system at once.
//!
//! * Where the system offers huge pages, what is allocated before `main` takes one or two of 2 MiB,
//!   and they stay. So they are turned off before that.
//! * mimalloc keeps what is freed for a second and gives it back only when something else is freed
//!   later. An agent allocates in bursts, a collection or a batch, and then rests, so that would be a
//!   burst's memory for ever.

use std::ffi::c_int;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of `mimalloc.h`, in milliseconds.
const PURGE_DELAY: c_int = 15;

#[allow(unsafe_code, reason = "the allocator's own crate has no safe way to ask for this")]
mod foreign {
    use std::ffi::{c_int, c_long};

    unsafe extern "C" {
        // SAFETY: the declarations are those of `mimalloc.h`; the functions may be called by any thread
        // at any time, take any number, and touch no memory but the allocator's own.
        pub(super) safe fn mi_option_set(option: c_int, value: c_long);
        #[cfg(test)]
        pub(super) safe fn mi_option_get(option: c_int) -> c_long;
    }
}

/// glibc calls what stands here before the allocator sets itself up.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "there is no other way to run before the first allocation")]
// SAFETY: the section is an array of functions, called one after the other while there is a single
// thread; their arguments may be left unread. This one makes a system call and allocates nothing.
#[used]
#[unsafe(link_section = ".preinit_array")]
static BEFORE_THE_FIRST_ALLOCATION: extern "C" fn() = small_pages;

#[cfg(all(target_os = "linux", target_env = "gnu"))]
extern "C" fn small_pages() {
    daemon::memory::use_small_pages();
}

/// To be called before anything else.
pub(crate) fn give_back_at_once() {
    foreign::mi_option_set(PURGE_DELAY, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The option is known by its number alone; its default tells it from its neighbours.
    #[test]
    fn the_option_is_the_delay_of_purges() {
        assert_eq!(foreign::mi_option_get(PURGE_DELAY), 1000);
        give_back_at_once();
        assert_eq!(foreign::mi_option_get(PURGE_DELAY), 0);
    }
}
