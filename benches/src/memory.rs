//! Memory of this process, as the system counts it.

/// Bytes of a page where this is read.
const PAGE: u64 = 4096;

/// Bytes of resident memory; 0 where the system does not say it.
#[must_use]
pub fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split_ascii_whitespace().nth(1);
    pages
        .and_then(|pages| pages.parse::<u64>().ok())
        .unwrap_or_default()
        * PAGE
}
