//! The pieces of a time, in any order: a day, a month, a year, a time of day, an offset.

use chrono::{DateTime, Datelike, Days, FixedOffset, NaiveDate, TimeDelta, Utc, Weekday};

use super::amount::Amount;
use super::clock::Clock;
use super::dates::{since_1970, unit_around, written};
use super::words::{self, Part, Unit};
use super::{Range, Span, Zone};

/// Says which one of those that come again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The latest that has begun.
    Latest,
    Last,
    This,
    Next,
}

/// Is what comes each year: so many months, or a week by its number.
#[derive(Debug, Clone, Copy)]
pub enum Yearly {
    Months { first: u32, count: u32 },
    Week(u32),
}

/// Holds what has been read of a time.
#[derive(Debug, Default)]
pub struct Pieces {
    /// All of it, where there is nothing to add.
    pub whole: Option<Span>,
    /// The first day and the one after the last.
    pub days: Option<(NaiveDate, NaiveDate)>,
    pub yearly: Option<(Yearly, Which)>,
    pub year: Option<i32>,
    /// The day of a month.
    pub number: Option<u32>,
    pub weekday: Option<(Weekday, Which)>,
    pub part: Option<(Part, Which)>,
    pub clock: Option<Clock>,
    pub offset: Option<FixedOffset>,
}

/// Reads all words as pieces of one time.
pub fn pieces(words: &[&str], zone: Zone, now: DateTime<Utc>) -> Option<Pieces> {
    let mut reading = Reading {
        today: zone.local(now).date_naive(),
        pieces: Pieces::default(),
        zone,
        now,
    };
    let mut at = 0;
    while at < words.len() {
        at += reading.take(&words[at..], at == 0)?;
    }
    Some(reading.pieces)
}

struct Reading {
    today: NaiveDate,
    pieces: Pieces,
    zone: Zone,
    now: DateTime<Utc>,
}

/// Puts a piece in its place, which has to be free.
fn put<T>(place: &mut Option<T>, piece: T) -> Option<()> {
    place.is_none().then(|| *place = Some(piece))
}

impl Reading {
    /// Reads the piece at the beginning of words; returns how many it takes.
    fn take(&mut self, words: &[&str], is_first: bool) -> Option<usize> {
        match words {
            ["at", hour, ..] if words::is_number(hour) && words::year(hour).is_none() => {
                if let Some((clock, length)) = Clock::take(&words[1..]) {
                    put(&mut self.pieces.clock, clock)?;
                    return Some(length + 1);
                }
                put(&mut self.pieces.clock, Clock::hour(hour.parse().ok()?)?)?;
                return Some(2);
            }
            ["in", rest @ ..] => {
                let Some((amount, length)) = Amount::take(rest) else {
                    return Some(1);
                };
                self.away(amount, true)?;
                return Some(length + 1);
            }
            [
                "on" | "at" | "the" | "of" | "during" | "over" | "within" | "for" | "earlier"
                | "year",
                rest @ ..,
            ] => {
                return (!rest.is_empty()).then_some(1);
            }
            ["day", "before", "yesterday", ..] => return self.day(-2).map(|()| 3),
            ["day", "after", "tomorrow", ..] => return self.day(2).map(|()| 3),
            ["today", ..] => return self.day(0).map(|()| 1),
            ["yesterday", ..] => return self.day(-1).map(|()| 1),
            ["tomorrow", ..] => return self.day(1).map(|()| 1),
            ["now", ..] => {
                put(
                    &mut self.pieces.whole,
                    moment(self.now, TimeDelta::seconds(1)),
                )?;
                return Some(1);
            }
            _ => {}
        }
        if let Some((clock, length)) = Clock::take(words) {
            put(&mut self.pieces.clock, clock)?;
            return Some(length);
        }
        if let Some((amount, length)) = Amount::take(words) {
            return self.amount(amount, words, length, is_first);
        }
        let (which, rest) = match words {
            ["last" | "past" | "previous", rest @ ..] => (Which::Last, rest),
            ["this" | "current", rest @ ..] => (Which::This, rest),
            ["next" | "coming" | "following", rest @ ..] => (Which::Next, rest),
            _ => (Which::Latest, words),
        };
        if which == Which::Latest {
            return self
                .named(words, which)
                .or_else(|| self.date(words[0]).map(|()| 1));
        }
        let is_past = words[0] == "past";
        let length = match (which, Amount::take(rest)) {
            (Which::This, Some(_)) => return None,
            (_, Some((amount, length))) => {
                self.back(amount, which == Which::Next)?;
                length
            }
            (_, None) => match rest.first().and_then(|name| words::unit(name)) {
                // `last week` is the one by the calendar, `past week` the seven days up to now.
                Some(unit @ (Unit::Time(_) | Unit::Days(1 | 14))) if which != Which::This => {
                    self.back(Amount::one(unit), which == Which::Next)?;
                    1
                }
                Some(unit) if is_past => self.back(Amount::one(unit), false).map(|()| 1)?,
                Some(unit) => self.calendar(unit, which).map(|()| 1)?,
                None => self.named(rest, which)?,
            },
        };
        Some(length + 1)
    }

    fn day(&mut self, days: i64) -> Option<()> {
        let day = self.today.checked_add_signed(TimeDelta::days(days))?;
        put(&mut self.pieces.days, (day, day.succ_opt()?))
    }

    /// Reads an amount with what follows it: `3 days ago`, `3 days from now`, or back from now where it stands alone.
    fn amount(
        &mut self,
        amount: Amount,
        words: &[&str],
        length: usize,
        is_first: bool,
    ) -> Option<usize> {
        match &words[length..] {
            ["ago" | "back", ..] => self.away(amount, false).map(|()| length + 1),
            ["from", "now", ..] => self.away(amount, true).map(|()| length + 2),
            // `6m` alone may be minutes or months.
            [] if is_first && !is_unclear(words) => {
                let from = amount.from(self.now, false, self.zone)?;
                near(from)?;
                let range = Range {
                    from,
                    until: self.now,
                };
                put(
                    &mut self.pieces.whole,
                    Span {
                        is_moment: true,
                        ..span(range)
                    },
                )?;
                Some(length)
            }
            _ => None,
        }
    }

    /// Takes the unit that is so far away, or the moment where it is one of the clock.
    fn away(&mut self, amount: Amount, is_ahead: bool) -> Option<()> {
        let from = amount.from(self.now, is_ahead, self.zone)?;
        near(from)?;
        let day = self.zone.local(from).date_naive();
        match amount.unit {
            Unit::Time(length) => {
                // What is ago ends now at the latest.
                let left = self.now - from;
                let is_past = left > TimeDelta::zero();
                let length = if is_past { length.min(left) } else { length };
                put(&mut self.pieces.whole, moment(from, length))
            }
            unit => {
                let days = unit_around(day, unit)?;
                put(&mut self.pieces.days, days)
            }
        }
    }

    /// Takes all from so long ago up to now.
    fn back(&mut self, amount: Amount, is_ahead: bool) -> Option<()> {
        let other = amount.from(self.now, is_ahead, self.zone)?;
        near(other)?;
        let (from, until) = (self.now.min(other), self.now.max(other));
        put(&mut self.pieces.whole, span(Range { from, until }))
    }

    /// Takes a week, a month, a quarter or a year by the calendar.
    fn calendar(&mut self, unit: Unit, which: Which) -> Option<()> {
        let (from, until) = unit_around(self.today, unit)?;
        let days = match which {
            Which::Last => unit_around(from.pred_opt()?, unit)?,
            Which::Next => unit_around(until, unit)?,
            Which::This | Which::Latest => (from, until),
        };
        put(&mut self.pieces.days, days)
    }

    /// Reads what has a name and comes again and again.
    fn named(&mut self, words: &[&str], which: Which) -> Option<usize> {
        let (word, next) = (*words.first()?, words.get(1).copied());
        let yearly = |first, count| (Yearly::Months { first, count }, which);
        if let Some(weekday) = words::weekday(word) {
            put(&mut self.pieces.weekday, (weekday, which))?;
        } else if let Some(month) = words::month(word) {
            put(&mut self.pieces.yearly, yearly(month, 1))?;
        } else if let Some(first) = words::season(word) {
            put(&mut self.pieces.yearly, yearly(first, 3))?;
        } else if let Some(quarter @ 1..=4) = word.strip_prefix('q').and_then(|n| n.parse().ok()) {
            put(&mut self.pieces.yearly, yearly(quarter * 3 - 2, 3))?;
        } else if let ("week", Some(number)) = (word, next.and_then(|next| next.parse().ok())) {
            put(&mut self.pieces.yearly, (Yearly::Week(number), which))?;
            return Some(2);
        } else if matches!(word, "weekend" | "weekends") {
            let (monday, _) = unit_around(self.today, Unit::Days(7))?;
            let weeks: i64 = match which {
                Which::Last => -1,
                Which::Latest if self.today.weekday().num_days_from_monday() < 5 => -1,
                Which::Latest | Which::This => 0,
                Which::Next => 1,
            };
            let saturday = monday.checked_add_signed(TimeDelta::days(weeks * 7 + 5))?;
            let days = (saturday, saturday.checked_add_days(Days::new(2))?);
            put(&mut self.pieces.days, days)?;
        } else if let Some(part) = words::part(word) {
            let which = if word == "tonight" {
                Which::This
            } else {
                which
            };
            put(&mut self.pieces.part, (part, which))?;
        } else {
            return None;
        }
        Some(1)
    }

    /// Reads dates, numbers and offsets in one word.
    fn date(&mut self, word: &str) -> Option<()> {
        let pieces = &mut self.pieces;
        if let Some(days) = written(word, self.today) {
            return put(&mut pieces.days, days);
        }
        if let Some(time) = since_1970(word) {
            return put(&mut pieces.whole, moment(time, TimeDelta::seconds(1)));
        }
        if let (Some(_), Some(offset)) = (pieces.clock, offset(word)) {
            return put(&mut pieces.offset, offset);
        }
        if let Some((clock, offset)) = with_offset(word) {
            put(&mut pieces.offset, offset)?;
            return put(&mut pieces.clock, clock);
        }
        match (words::year(word), words::day_of(word)) {
            (Some(year), _) => put(&mut pieces.year, year),
            (_, Some(number)) => put(&mut pieces.number, number),
            _ => None,
        }
    }
}

/// Returns whether words are `6m` alone: minutes, or months.
pub fn is_unclear(words: &[&str]) -> bool {
    matches!(words, [word] if word.strip_suffix('m').is_some_and(words::is_number))
        || matches!(words, [number, "m"] if words::is_number(number))
}

/// Reads an offset that some place on earth has: quarters of an hour, from -12:00 to +14:00.
pub fn offset(word: &str) -> Option<FixedOffset> {
    if matches!(word, "z" | "utc" | "gmt") {
        return FixedOffset::east_opt(0);
    }
    let word = word.strip_prefix("utc").unwrap_or(word);
    let digits = word.strip_prefix(['+', '-'])?;
    let whole = match digits.len() {
        2 => format!("{word}:00"),
        _ => word.to_owned(),
    };
    let offset: FixedOffset = whole.parse().ok()?;
    let minutes = offset.local_minus_utc() / 60;
    (minutes % 15 == 0 && (-12 * 60..=14 * 60).contains(&minutes)).then_some(offset)
}

/// Reads a time of day with an offset at its end.
fn with_offset(word: &str) -> Option<(Clock, FixedOffset)> {
    let at = word.find(['+', '-', 'z'])?;
    let (time, after) = word.split_at(at);
    let (clock, _) = Clock::take(&[time])?;
    Some((clock, offset(after)?))
}

fn span(range: Range) -> Span {
    Span {
        range,
        is_moment: false,
        every: super::Every::Once,
    }
}

fn moment(from: DateTime<Utc>, length: TimeDelta) -> Span {
    let until = from.checked_add_signed(length).unwrap_or(from);
    Span {
        is_moment: true,
        ..span(Range { from, until })
    }
}

fn near(time: DateTime<Utc>) -> Option<()> {
    super::grammar::is_near(time.date_naive()).then_some(())
}
