//! Amounts of time: `3 days`, `an hour and a half`, `1h30m`.

use chrono::{DateTime, Days, Months, TimeDelta, Utc};

use super::Zone;
use super::words::{Unit, thousandths, unit};

/// Is an amount of time, by the calendar as far as it can be.
#[derive(Debug, Clone, Copy)]
pub struct Amount {
    months: i64,
    days: i64,
    time: TimeDelta,
    /// The shortest unit in it.
    pub unit: Unit,
}

impl Amount {
    /// Reads the amount at the beginning of words, and how many words it takes.
    pub fn take(words: &[&str]) -> Option<(Amount, usize)> {
        let mut amount = Amount {
            months: 0,
            days: 0,
            time: TimeDelta::zero(),
            unit: Unit::Months(12),
        };
        let mut taken = 0;
        loop {
            let and = usize::from(taken > 0 && words.get(taken) == Some(&"and"));
            let Some(length) = amount.term(&words[(taken + and).min(words.len())..]) else {
                break;
            };
            taken += and + length;
        }
        (taken > 0).then_some((amount, taken))
    }

    /// Is one of a unit.
    pub fn one(unit: Unit) -> Amount {
        let mut amount = Amount {
            months: 0,
            days: 0,
            time: TimeDelta::zero(),
            unit,
        };
        amount.add(1000, unit);
        amount
    }

    fn term(&mut self, words: &[&str]) -> Option<usize> {
        let (count, unit, length) = match words {
            ["half", "a" | "an" | "of", name, ..] | ["a", "half", name, ..]
                if unit(name).is_some() =>
            {
                (500, unit(name)?, 3)
            }
            ["half", name, ..] if unit(name).is_some() => (500, unit(name)?, 2),
            ["couple", name, ..] if unit(name).is_some() => (2000, unit(name)?, 2),
            ["couple", "of", name, ..] if unit(name).is_some() => (2000, unit(name)?, 3),
            ["a", "couple", rest @ ..] => {
                return self
                    .term(&[&["couple"], rest].concat())
                    .map(|length| length + 1);
            }
            [number, "and", "a", "half", name, ..] if unit(name).is_some() => {
                (thousandths(number)?.checked_add(500)?, unit(name)?, 5)
            }
            [number, name, "and", "a", "half", ..] if unit(name).is_some() => {
                let goes_on = words.get(5).is_some_and(|next| unit(next).is_some());
                match goes_on {
                    true => (thousandths(number)?, unit(name)?, 2),
                    false => (thousandths(number)?.checked_add(500)?, unit(name)?, 5),
                }
            }
            [number, name, ..] if unit(name).is_some() && thousandths(number).is_some() => {
                (thousandths(number)?, unit(name)?, 2)
            }
            [glued, ..] => return self.glued(glued).map(|()| 1),
            [] => return None,
        };
        self.add(count, unit)?;
        Some(length)
    }

    /// Reads `3d` and `1h30m`.
    fn glued(&mut self, mut word: &str) -> Option<()> {
        let mut read = *self;
        while !word.is_empty() {
            let (number, rest) = word.split_at(word.find(|c: char| c.is_ascii_alphabetic())?);
            let end = rest.find(|c: char| !c.is_ascii_alphabetic());
            let (name, rest) = rest.split_at(end.unwrap_or(rest.len()));
            read.add(thousandths(number)?, unit(name)?)?;
            word = rest;
        }
        *self = read;
        Some(())
    }

    fn add(&mut self, count: i64, unit: Unit) -> Option<()> {
        // More than the calendar has room for is no amount; a sum of two such is still none.
        let fits = |count: i64| (count < 4_000_000_000).then_some(count);
        self.unit = unit;
        match unit {
            Unit::Time(length) => {
                let length = length.checked_mul(i32::try_from(fits(count)? / 1000).ok()?)?
                    + length.checked_mul(i32::try_from(count % 1000).ok()?)? / 1000;
                self.time = self.time.checked_add(&length)?;
            }
            Unit::Days(days) if count % 1000 == 0 => self.days += days * fits(count)? / 1000,
            Unit::Days(days) => {
                self.time = self.time.checked_add(&TimeDelta::try_seconds(
                    days * 86_400 * fits(count)? / 1000,
                )?)?;
                self.unit = Unit::Time(TimeDelta::hours(1));
            }
            Unit::Months(months) => {
                let months = months * fits(count)?;
                self.months += months / 1000;
                if months % 1000 != 0 {
                    self.days += months % 1000 * 30 / 1000;
                    self.unit = Unit::Days(1);
                }
            }
        }
        Some(())
    }

    /// Returns the moment that is so much before another, or after it.
    pub fn from(self, now: DateTime<Utc>, is_ahead: bool, zone: Zone) -> Option<DateTime<Utc>> {
        let moment = if self.months == 0 && self.days == 0 {
            now
        } else {
            let (months, days) = (
                u32::try_from(self.months).ok()?,
                u64::try_from(self.days).ok()?,
            );
            let (months, days) = (Months::new(months), Days::new(days));
            let local = zone.local(now).naive_local();
            zone.moment(match is_ahead {
                true => local.checked_add_months(months)?.checked_add_days(days)?,
                false => local.checked_sub_months(months)?.checked_sub_days(days)?,
            })
        };
        match is_ahead {
            true => moment.checked_add_signed(self.time),
            false => moment.checked_sub_signed(self.time),
        }
    }
}
