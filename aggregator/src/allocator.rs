//! The allocator, and how freed memory goes back to the system.
//!
//! mimalloc keeps a freed region for a second before it gives it back: under a steady load that
//! comes to a third of the peak (320 instead of 235 MiB while 3 million log lines come in) and saves
//! no CPU time that can be measured, since it is used again within milliseconds or not soon. So it
//! is told to wait for milliseconds only. And it gives back only when something else is freed later,
//! so a server that was sent one large body and then rests would hold it for ever: a thread asks it
//! every few seconds.

use std::{
    ffi::{c_int, c_long},
    io, thread,
    time::Duration,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long freed memory may stay with a process that rests.
const PERIOD: Duration = Duration::from_secs(5);

#[allow(unsafe_code, reason = "the allocator's own crate has no safe way to ask for this")]
mod foreign {
    use std::ffi::{c_int, c_long};

    unsafe extern "C" {
        // SAFETY: the declaration is that of `mimalloc.h`; the function may be called by any thread at
        // any time and touches no memory but the allocator's own.
        pub(super) safe fn mi_collect(force: bool);
        // SAFETY: as above; the function sets one number of a table that has far more than 15, and
        // ignores one that it does not know.
        pub(super) safe fn mi_option_set(option: c_int, value: c_long);
    }
}

/// `mi_option_purge_delay` of `mimalloc.h`.
const OPTION_PURGE_DELAY: c_int = 15;
/// How long a freed region waits to be used again, milliseconds.
const PURGE_DELAY_MS: c_long = 10;

/// Has freed memory given back soon, for as long as the process lives.
///
/// # Errors
/// When the system has no thread to give.
pub(crate) fn give_back_what_is_freed() -> io::Result<()> {
    foreign::mi_option_set(OPTION_PURGE_DELAY, PURGE_DELAY_MS);
    thread::Builder::new().name("memory".to_owned()).spawn(|| {
        loop {
            thread::sleep(PERIOD);
            foreign::mi_collect(true);
        }
    })?;
    Ok(())
}
