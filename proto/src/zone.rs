//! [`Zone`]: a time zone of the IANA database that is built in, so that every machine gives the same answer.

use std::fmt;
use std::sync::{Arc, OnceLock};

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::time::Timestamp;

/// A time zone by its name: `Europe/Brussels`.
#[derive(Clone)]
pub struct Zone {
    name: Arc<str>,
    zone: TimeZone,
}

/// The name is none of the database.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time zone: write an IANA name such as `Europe/Brussels` or `UTC`")]
pub struct ZoneError(String);

fn database() -> &'static TimeZoneDatabase {
    static DATABASE: OnceLock<TimeZoneDatabase> = OnceLock::new();
    DATABASE.get_or_init(TimeZoneDatabase::bundled)
}

impl Zone {
    /// UTC.
    #[must_use]
    pub fn utc() -> Self {
        Self {
            name: Arc::from("UTC"),
            zone: TimeZone::UTC,
        }
    }

    /// The zone of a name.
    ///
    /// # Errors
    /// When the database has no such zone.
    pub fn new(name: &str) -> Result<Self, ZoneError> {
        let written = name.trim();
        if written.eq_ignore_ascii_case("utc") {
            return Ok(Self::utc());
        }
        let zone = database().get(written);
        let zone = zone.map_err(|_| ZoneError(written.chars().take(64).collect()))?;
        let name = zone
            .iana_name()
            .map_or_else(|| Arc::from(written), Arc::from);
        Ok(Self { name, zone })
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What a clock on the wall shows; `None` outside the years that have one (−9999 to 9999).
    #[must_use]
    pub fn local(&self, at: Timestamp) -> Option<DateTime> {
        let stamp = jiff::Timestamp::from_millisecond(at.0).ok()?;
        Some(self.zone.to_datetime(stamp))
    }

    /// The hour of the local week: 0 is Monday 00:00 to 01:00, 167 is Sunday 23:00 to 24:00.
    #[must_use]
    pub fn hour_of_week(&self, at: Timestamp) -> Option<usize> {
        let local = self.local(at)?;
        let day = usize::try_from(local.weekday().to_monday_zero_offset()).ok()?;
        let hour = usize::try_from(local.hour()).ok()?;
        Some(day * 24 + hour)
    }

    /// How far the wall is ahead of UTC at a moment, in ms; 0 where no calendar reaches.
    #[must_use]
    pub fn offset(&self, at: Timestamp) -> i64 {
        let stamp = jiff::Timestamp::from_millisecond(at.0);
        stamp.map_or(0, |stamp| {
            i64::from(self.zone.to_offset(stamp).seconds()) * 1000
        })
    }

    /// The last moment at or before a moment at which the wall was set, and the first after it.
    #[must_use]
    pub fn transitions(&self, at: Timestamp) -> (Option<Timestamp>, Option<Timestamp>) {
        let moment = |ms: i64| jiff::Timestamp::from_millisecond(ms).ok();
        let told = |stamp: jiff::Timestamp| Timestamp(stamp.as_millisecond());
        let before = moment(at.0.saturating_add(1)).and_then(|stamp| {
            let mut before = self.zone.preceding(stamp);
            before.next().map(|transition| told(transition.timestamp()))
        });
        let after = moment(at.0).and_then(|stamp| {
            let mut after = self.zone.following(stamp);
            after.next().map(|transition| told(transition.timestamp()))
        });
        (before, after)
    }

    /// The moment at which the wall shows a time: of two the earlier, for a skipped one the first moment after the gap.
    #[must_use]
    pub fn moment(&self, wall: DateTime) -> Option<Timestamp> {
        let ambiguous = self.zone.to_ambiguous_timestamp(wall);
        let stamp = match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(wall).ok()?,
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(wall).ok()?,
            AmbiguousOffset::Gap { before, .. } => {
                let beyond = before.to_timestamp(wall).ok()?;
                let beyond = beyond.as_millisecond().checked_add(1)?;
                let beyond = jiff::Timestamp::from_millisecond(beyond).ok()?;
                self.zone.preceding(beyond).next()?.timestamp()
            }
        };
        Some(Timestamp(stamp.as_millisecond()))
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({})", self.name)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Zone {}

impl std::hash::Hash for Zone {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.name.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = <Arc<str>>::deserialize(deserializer)?;
        Self::new(&name).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn stamp(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn walls_and_moments_agree_but_for_gaps_and_folds() {
        let zone = Zone::new("europe/brussels").unwrap();
        assert_eq!(zone.name().as_ref(), "Europe/Brussels");
        let noon = date(2026, 7, 1).at(12, 0, 0, 0);
        assert_eq!(zone.moment(noon), Some(stamp("2026-07-01T10:00:00Z")));
        assert_eq!(zone.local(stamp("2026-07-01T10:00:00Z")), Some(noon));
        // 2026-03-29: 02:00 to 03:00 is skipped at 01:00 UTC. 2026-10-25: it is there twice.
        for minute in [0, 30, 59] {
            let skipped = date(2026, 3, 29).at(2, minute, 0, 0);
            assert_eq!(zone.moment(skipped), Some(stamp("2026-03-29T01:00:00Z")));
        }
        let doubled = date(2026, 10, 25).at(2, 30, 0, 0);
        assert_eq!(zone.moment(doubled), Some(stamp("2026-10-25T00:30:00Z")));
    }

    #[test]
    fn weeks_begin_on_monday() {
        let zone = Zone::new("America/New_York").unwrap();
        assert_eq!(zone.hour_of_week(stamp("2026-01-05T05:00:00Z")), Some(0));
        assert_eq!(zone.hour_of_week(stamp("2026-01-05T04:59:59Z")), Some(167));
        assert_eq!(Zone::utc().hour_of_week(Timestamp(0)), Some(3 * 24));
        assert_eq!(Zone::utc().hour_of_week(Timestamp(i64::MAX)), None);
    }

    #[test]
    fn a_zone_travels_by_its_name() {
        let zone = Zone::new("Asia/Kolkata").unwrap();
        let text = serde_json::to_string(&zone).unwrap();
        assert_eq!(text, "\"Asia/Kolkata\"");
        assert_eq!(serde_json::from_str::<Zone>(&text).unwrap(), zone);
        let error = Zone::new("Mars/Olympus").unwrap_err().to_string();
        assert!(
            error.starts_with("`Mars/Olympus` is not a time zone"),
            "{error}"
        );
    }
}
