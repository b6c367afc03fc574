//! Local time: the system's zone, or one that is named.

use anyhow::{Context, Result};
use chrono::{
    DateTime, FixedOffset, Local, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone,
    Timelike, Utc,
};
use chrono_tz::{TZ_VARIANTS, Tz};

/// A day and an hour, in seconds.
const DAY: i64 = 25 * 3600;

/// Is the zone in which times are read and shown: the system's by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Zone(Option<Tz>);

impl Zone {
    /// Returns the zone of that name in the IANA database, which may be given as `$TZ` has it.
    pub fn named(name: &str) -> Result<Zone> {
        let zone = parsed(name).with_context(|| {
            format!("there is no time zone `{name}`: give one like Europe/Berlin or UTC")
        });
        Ok(Zone(Some(zone?)))
    }

    /// Returns its name in the IANA database; where the system's has none, its offset of now.
    pub fn name(self) -> String {
        let now = Utc::now();
        let same = |zone: &Tz| self.local(now).offset() == fixed(&now.with_timezone(zone)).offset();
        let system = || {
            let named = std::env::var("TZ").ok();
            let named = named
                .filter(|name| !matches!(&name[..], "" | "/etc/localtime" | ":/etc/localtime"));
            let named = named.or_else(|| iana_time_zone::get_timezone().ok())?;
            parsed(&named).filter(same)
        };
        match self.0.or_else(system) {
            Some(zone) => zone.name().to_owned(),
            None => self.local(now).offset().to_string(),
        }
    }

    /// Returns a moment in local time.
    pub fn local(self, time: DateTime<Utc>) -> DateTime<FixedOffset> {
        match self.0 {
            Some(zone) => fixed(&time.with_timezone(&zone)),
            None => fixed(&time.with_timezone(&Local)),
        }
    }

    /// Returns a moment as a person reads it, with its offset.
    pub fn shown(self, time: DateTime<Utc>) -> String {
        self.local(time).format("%Y-%m-%d %H:%M:%S %:z").to_string()
    }

    /// Maps a local time to UTC. Of a doubled hour it takes the first; a skipped time becomes the first moment that exists after it.
    pub fn moment(self, local: NaiveDateTime) -> DateTime<Utc> {
        let first = |local: NaiveDateTime| {
            let mapped = match self.0 {
                Some(zone) => zone.from_local_datetime(&local).map(|time| fixed(&time)),
                None => Local.from_local_datetime(&local).map(|time| fixed(&time)),
            };
            // Which of two moments chrono calls the earlier one depends on the zone's data, so the order is ours.
            let both = match mapped {
                MappedLocalTime::None => [None, None],
                MappedLocalTime::Single(time) => [Some(time), None],
                MappedLocalTime::Ambiguous(a, b) => [Some(a), Some(b)],
            };
            both.into_iter()
                .flatten()
                .map(|time| time.to_utc())
                .filter(|time| self.local(*time).naive_local() == local)
                .min()
        };
        first(local).unwrap_or_else(|| {
            // The clock jumps over it: look for the jump. No zone is further from UTC than a day.
            let around = local.and_utc();
            let (mut before, mut after) = (-DAY, DAY);
            while after - before > 1 {
                let middle = before.midpoint(after);
                let there = around + TimeDelta::seconds(middle);
                if self.local(there).naive_local() < local {
                    before = middle;
                } else {
                    after = middle;
                }
            }
            around.with_nanosecond(0).unwrap_or(around) + TimeDelta::seconds(after)
        })
    }
}

/// Reads the name of a zone in large letters or small, also where it is the path of its file, or has a colon before it.
fn parsed(name: &str) -> Option<Tz> {
    let name = name.strip_prefix(':').unwrap_or(name);
    let name = name
        .rsplit_once("/zoneinfo/")
        .map_or(name, |(_, name)| name);
    let mut kinds = ["posix/", "right/"].into_iter();
    let bare = kinds.find_map(|kind| name.strip_prefix(kind));
    let name = bare.unwrap_or(name);
    let is_it = |zone: &&Tz| zone.name().eq_ignore_ascii_case(name);
    TZ_VARIANTS.iter().find(is_it).copied()
}

fn fixed<Z: TimeZone>(time: &DateTime<Z>) -> DateTime<FixedOffset> {
    time.with_timezone(&time.offset().fix())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> NaiveDateTime {
        text.parse().unwrap()
    }

    #[test]
    fn skipped_and_doubled_times_are_settled() {
        let check = |zone: &str, local: &str, utc: &str| {
            let moment = Zone::named(zone).unwrap().moment(at(local));
            assert_eq!(moment.naive_utc(), at(utc), "{zone} {local}");
        };
        check(
            "Europe/Berlin",
            "2025-10-26T02:30:00",
            "2025-10-26T00:30:00",
        );
        check(
            "Europe/Berlin",
            "2025-03-30T02:10:00",
            "2025-03-30T01:00:00",
        );
        // Half an hour is doubled and skipped here.
        check(
            "Australia/Lord_Howe",
            "2025-04-06T01:45:00",
            "2025-04-05T14:45:00",
        );
        check(
            "Australia/Lord_Howe",
            "2025-10-05T02:10:00",
            "2025-10-04T15:30:00",
        );
        check(
            "Pacific/Chatham",
            "2025-04-06T03:00:00",
            "2025-04-05T13:15:00",
        );
        // A whole day was skipped.
        check("Pacific/Apia", "2011-12-30T12:00:00", "2011-12-30T10:00:00");
        assert!(Zone::named("Mars/Olympus").is_err());
    }

    #[test]
    fn a_zone_may_be_given_as_the_path_of_its_file() {
        for name in [
            "Europe/Berlin",
            ":Europe/Berlin",
            "europe/berlin",
            "/usr/share/zoneinfo/Europe/Berlin",
            ":/usr/share/zoneinfo/posix/Europe/Berlin",
            "/var/db/timezone/zoneinfo/Europe/Berlin",
        ] {
            assert_eq!(Zone::named(name).unwrap().name(), "Europe/Berlin", "{name}");
        }
        assert!(Zone::named("/etc/localtime").is_err());
    }

    #[test]
    fn local_times_map_to_moments_in_order_and_back_wherever_they_exist() {
        let zones = [
            "Australia/Lord_Howe",
            "Pacific/Chatham",
            "Pacific/Apia",
            "Europe/Berlin",
            "America/St_Johns",
            "Africa/Casablanca",
            "Asia/Kathmandu",
        ];
        for name in zones {
            let zone = Zone::named(name).unwrap();
            let mut before = zone.moment(at("2010-12-31T23:55:00"));
            let mut local = at("2011-01-01T00:00:00");
            // Two years, a day skipped in one of them, at steps that meet every border.
            while local < at("2013-01-01T00:00:00") {
                let moment = zone.moment(local);
                let back = zone.local(moment).naive_local();
                assert!(back >= local, "{name} {local}");
                if back == local {
                    assert!(moment >= before, "{name} {local}");
                    let earlier = moment - TimeDelta::minutes(30);
                    assert_ne!(zone.local(earlier).naive_local(), local, "{name} {local}");
                } else {
                    // Nothing between the two exists.
                    assert_eq!(zone.moment(back), moment, "{name} {local}");
                    let just_before = zone.local(moment - TimeDelta::seconds(1)).naive_local();
                    assert!(just_before < local, "{name} {local}");
                }
                before = before.max(moment);
                local += TimeDelta::minutes(15);
            }
        }
    }
}
