//! [`Number`]: a JSON number as written, as a whole number where it is one, and as the nearest double.

/// A JSON number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number<'a> {
    /// The number as written.
    pub text: &'a str,
    /// The number if it was written as a whole number of at most 18 digits, without fraction and exponent.
    pub whole: Option<i64>,
    /// The nearest double, ties to even; infinite when the number is beyond the doubles.
    pub value: f64,
}

/// Powers of ten that are doubles exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// Whole numbers up to here are doubles exactly.
const EXACT: u64 = 1 << 53;

/// Digits that fit into the mantissa without overflow.
const DIGITS: u32 = 18;

/// What a scan has gathered: value = mantissa · 10^exponent while `digits` is at most [`DIGITS`].
#[derive(Default)]
struct Scan {
    at: usize,
    mantissa: u64,
    digits: u32,
    exponent: i32,
}

impl Scan {
    fn byte(&self, bytes: &[u8]) -> Option<u8> {
        bytes.get(self.at).copied()
    }

    /// Takes digits into the mantissa; answers how many there were.
    fn digits(&mut self, bytes: &[u8]) -> u32 {
        let before = self.digits;
        while let Some(digit @ b'0'..=b'9') = self.byte(bytes) {
            self.mantissa = self
                .mantissa
                .wrapping_mul(10)
                .wrapping_add(u64::from(digit - b'0'));
            self.digits += 1;
            self.at += 1;
        }
        self.digits - before
    }

    /// Takes the digits behind `e`; `None` when there are none.
    fn power(&mut self, bytes: &[u8]) -> Option<()> {
        let negative = match self.byte(bytes) {
            Some(sign @ (b'+' | b'-')) => {
                self.at += 1;
                sign == b'-'
            }
            _ => false,
        };
        let start = self.at;
        let mut power = 0_i32;
        while let Some(digit @ b'0'..=b'9') = self.byte(bytes) {
            power = power
                .saturating_mul(10)
                .saturating_add(i32::from(digit - b'0'));
            self.at += 1;
        }
        let signed = if negative { -power } else { power };
        self.exponent = self.exponent.saturating_add(signed);
        (self.at > start).then_some(())
    }
}

/// Reads the number that begins at `start`; answers with it and the place behind it. `Err` has the place where the text
/// stops to be a number.
pub(super) fn read(text: &str, start: usize) -> Result<(Number<'_>, usize), usize> {
    let bytes = text.as_bytes();
    let mut scan = Scan {
        at: start,
        ..Scan::default()
    };
    let negative = scan.byte(bytes) == Some(b'-');
    scan.at += usize::from(negative);
    let leading_zero = scan.byte(bytes) == Some(b'0');
    let whole_digits = scan.digits(bytes);
    if whole_digits == 0 || (leading_zero && whole_digits > 1) {
        return Err(scan.at);
    }
    let mut whole = true;
    if scan.byte(bytes) == Some(b'.') {
        whole = false;
        scan.at += 1;
        let fraction = scan.digits(bytes);
        if fraction == 0 {
            return Err(scan.at);
        }
        scan.exponent = i32::try_from(fraction).map_or(i32::MIN, |digits| -digits);
    }
    if let Some(b'e' | b'E') = scan.byte(bytes) {
        whole = false;
        scan.at += 1;
        scan.power(bytes).ok_or(scan.at)?;
    }
    let written = text.get(start..scan.at).ok_or(scan.at)?;
    let number = Number {
        text: written,
        whole: (whole && scan.digits <= DIGITS)
            .then(|| i64::try_from(scan.mantissa).ok())
            .flatten()
            .map(|whole| if negative { -whole } else { whole }),
        value: value(&scan, negative, written),
    };
    Ok((number, scan.at))
}

/// A number of at most 18 digits without exponent and the place behind it: most numbers of devices, in registers.
#[inline]
pub(super) fn simple(bytes: &[u8], start: usize) -> Option<(f64, usize)> {
    let negative = bytes.get(start) == Some(&b'-');
    let first = start + usize::from(negative);
    let (mut mantissa, mut at) = (0_u64, first);
    let mut point = None;
    loop {
        match bytes.get(at) {
            Some(digit @ b'0'..=b'9') => {
                mantissa = mantissa
                    .wrapping_mul(10)
                    .wrapping_add(u64::from(digit - b'0'));
            }
            Some(b'.') if point.is_none() => point = Some(at),
            _ => break,
        }
        at += 1;
    }
    let whole = point.unwrap_or(at) - first;
    let fraction = point.map_or(0, |point| at - point - 1);
    let leading_zero = whole > 1 && bytes.get(first) == Some(&b'0');
    let open = whole == 0 || leading_zero || (point.is_some() && fraction == 0);
    if open || whole + fraction > DIGITS as usize || mantissa > EXACT {
        return None;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        return None;
    }
    #[allow(clippy::cast_precision_loss, reason = "at most 2^53")]
    let size = mantissa as f64 / POWERS.get(fraction)?;
    Some((if negative { -size } else { size }, at))
}

/// The nearest double. One multiplication or division of two exact doubles rounds once, so it is exact rounding (Clinger
/// 1990); everything else goes to the standard library.
fn value(scan: &Scan, negative: bool, written: &str) -> f64 {
    if scan.digits <= DIGITS && scan.mantissa <= EXACT {
        #[allow(clippy::cast_precision_loss, reason = "at most 2^53")]
        let mantissa = scan.mantissa as f64;
        let power = POWERS.get(scan.exponent.unsigned_abs() as usize);
        if let Some(power) = power {
            let size = if scan.exponent < 0 {
                mantissa / power
            } else {
                mantissa * power
            };
            return if negative { -size } else { size };
        }
    }
    written.parse().unwrap_or(f64::NAN)
}
