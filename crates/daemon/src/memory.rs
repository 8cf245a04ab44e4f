//! How the process takes memory from the system.

/// Takes memory in small pages only. To be called before anything else.
///
/// The allocator asks for huge pages where the system offers them, and then a region that is touched
/// once counts 2 MiB: an idle aggregator takes 28 MB of heap with them and 7 MB without. A system that
/// refuses is no reason not to start.
pub fn use_small_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages stay on");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn huge_pages_are_off_afterwards() {
        super::use_small_pages();
        assert!(rustix::thread::transparent_huge_pages_are_disabled().unwrap());
    }
}
