//! Schedules as Quartz writes them, which are those of `cron` with seconds in front, perhaps a year behind, and Sunday as 1.

/// The five fields of a schedule of Quartz; one of five fields already is left as it is.
///
/// # Errors
/// What of it has no equal.
pub(super) fn five_fields(text: &str) -> Result<String, String> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let (second, rest) = match fields.as_slice() {
        [second, rest @ ..] if (5..=6).contains(&rest.len()) => (*second, rest),
        _ => return Ok(text.to_owned()),
    };
    if !matches!(second, "0" | "00") {
        return Err(format!(
            "`{second}` as seconds: ticks are on whole minutes, write `0`, or a periodic task"
        ));
    }
    if let Some(year) = rest.get(5).filter(|year| **year != "*") {
        return Err(format!(
            "`{year}` as year: schedules have no year, write `*`"
        ));
    }
    let mut written = Vec::new();
    for (place, field) in rest.iter().take(5).enumerate() {
        let days = place == 2 || place == 4;
        if days && field.contains(['#', 'W', 'L']) && !is_named(field) {
            return Err(format!(
                "`{field}` as day: write an `rrule` such as `FREQ=MONTHLY;BYDAY=-1FR`"
            ));
        }
        written.push(match *field {
            "?" => "*".to_owned(),
            field if place == 4 => from_sunday(field),
            field => field.to_owned(),
        });
    }
    Ok(written.join(" "))
}

/// Names of days have these letters as well: `WED`.
fn is_named(field: &str) -> bool {
    let mut parts = field.split([',', '-', '/']);
    parts.all(|part| !part.contains('#') && (part.len() == 3 || !part.contains(['W', 'L'])))
}

/// Numbers of days that begin with 1 on Sunday as those that begin with 0; what stands behind `/` is no day.
fn from_sunday(field: &str) -> String {
    let (days, step) = match field.split_once('/') {
        Some((days, step)) => (days, format!("/{step}")),
        None => (field, String::new()),
    };
    let lower = |c: char| match c.to_digit(10) {
        Some(digit @ 1..=7) => char::from_digit(digit - 1, 10).unwrap_or(c),
        _ => c,
    };
    days.chars().map(lower).collect::<String>() + step.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_of_quartz_become_those_of_cron() {
        let cases = [
            ("0 30 2 ? * MON-FRI", Ok("30 2 * * MON-FRI")),
            ("0 0 6 * * 2-6/2 *", Ok("0 6 * * 1-5/2")),
            ("0 0 6 ? * WED,1", Ok("0 6 * * WED,0")),
            ("15 4 1 * *", Ok("15 4 1 * *")),
            ("*/5 * * * * ?", Err("`*/5` as seconds")),
            ("0 0 6 L * ?", Err("`L` as day")),
            ("0 0 6 ? * 6#3", Err("`6#3` as day")),
            ("0 0 6 1 1 ? 2027", Err("`2027` as year")),
        ];
        for (text, wanted) in cases {
            match (five_fields(text), wanted) {
                (Ok(found), Ok(wanted)) => assert_eq!(found, wanted, "{text}"),
                (Err(why), Err(wanted)) => assert!(why.starts_with(wanted), "{text}: {why}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }
}
