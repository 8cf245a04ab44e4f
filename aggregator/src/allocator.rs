//! The allocator, and how freed memory goes back to the system.
//!
//! mimalloc gives a freed region back only when something else is freed later, so a server that was
//! sent one large body and then rests would hold it for ever. A thread asks it every few seconds.

use std::{io, thread, time::Duration};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long freed memory may stay with a process that rests.
const PERIOD: Duration = Duration::from_secs(5);

#[allow(unsafe_code, reason = "the allocator's own crate has no safe way to ask for this")]
mod foreign {
    unsafe extern "C" {
        // SAFETY: the declaration is that of `mimalloc.h`; the function may be called by any thread at
        // any time and touches no memory but the allocator's own.
        pub(super) safe fn mi_collect(force: bool);
    }
}

/// Starts the thread that gives freed memory back, for as long as the process lives.
///
/// # Errors
/// When the system has no thread to give.
pub(crate) fn give_back_what_is_freed() -> io::Result<()> {
    thread::Builder::new().name("memory".to_owned()).spawn(|| {
        loop {
            thread::sleep(PERIOD);
            foreign::mi_collect(true);
        }
    })?;
    Ok(())
}
