//! Sizes in bytes: `1000`, `64KiB`, `128MiB`, `10GiB`, `1TiB`.

/// Parses a size in bytes; decimal units (`MB`) are refused, because people disagree about them.
///
/// # Errors
/// A text that says what a size looks like.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let trimmed = text.trim();
    let digits = trimmed
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at_checked(digits).unwrap_or((trimmed, ""));
    let factor: Option<u64> = match unit.trim() {
        "" | "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        "TiB" => Some(1 << 40),
        _ => None,
    };
    number
        .parse::<u64>()
        .ok()
        .zip(factor)
        .and_then(|(number, factor)| number.checked_mul(factor))
        .ok_or_else(|| {
            format!("`{trimmed}` is not a size: write bytes, or `64KiB`, `128MiB`, `10GiB`")
        })
}
