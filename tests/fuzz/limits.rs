//! Memory and CPU time of one execution, so that every input is held to both.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What reading 16 KiB may take at most at any moment.
pub(crate) const MEMORY: usize = 64 << 20;
/// What reading 16 KiB may take at most. It would be two seconds; counting branches makes everything five to eight
/// times as slow.
pub(crate) const CPU: Duration = Duration::from_secs(10);

/// Counts what Rust code holds; libFuzzer's own memory is C++ and not counted.
pub(crate) struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static BEFORE: AtomicUsize = AtomicUsize::new(0);

impl Counting {
    fn grow(by: usize) {
        let held = HELD.fetch_add(by, Ordering::Relaxed) + by;
        PEAK.fetch_max(held, Ordering::Relaxed);
        let before = BEFORE.load(Ordering::Relaxed);
        if held.saturating_sub(before) > MEMORY {
            // Formatting this needs no memory; the next line would report the report otherwise.
            BEFORE.store(usize::MAX, Ordering::Relaxed);
            eprintln!("one input makes the reader hold more than {MEMORY} bytes");
            std::process::abort();
        }
    }
}

// SAFETY: every call is passed on unchanged to the system's allocator, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::grow(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::grow(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // While the bytes are copied both blocks exist.
        Self::grow(size);
        // SAFETY: as above.
        let moved = unsafe { System.realloc(pointer, layout, size) };
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        moved
    }
}

static PRINT: LazyLock<bool> = LazyLock::new(|| std::env::var_os("FUZZ_STATS").is_some());

/// Runs `work` and aborts when it takes more than it may.
pub(crate) fn limited(work: &mut dyn FnMut()) {
    let print = *PRINT;
    let before = HELD.load(Ordering::Relaxed);
    BEFORE.store(before, Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let start = cpu();
    work();
    let spent = cpu().saturating_sub(start);
    assert!(
        spent <= CPU,
        "one input takes {spent:?} of CPU time, more than {CPU:?}"
    );
    let peak = PEAK.load(Ordering::Relaxed).saturating_sub(before);
    BEFORE.store(usize::MAX, Ordering::Relaxed);
    if print {
        eprintln!("stats: peak {peak} bytes, {} us", spent.as_micros());
    }
}

fn cpu() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is valid for the call; this clock always exists on Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}
