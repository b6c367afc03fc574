//! One time: what its pieces name together.

use chrono::{
    DateTime, Datelike, Days, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc, Weekday,
};

use super::clock::Clock;
use super::pieces::{Pieces, Which, Yearly, pieces};
use super::words::Part;
use super::{Every, Range, Span, Zone};

/// Reads one time: a unit or a moment.
pub fn span(text: &str, zone: Zone, now: DateTime<Utc>) -> Option<Span> {
    let text = plain(text);
    let words: Vec<&str> = text.split_whitespace().collect();
    let pieces = pieces(&words, zone, now)?;
    Together { pieces, zone, now }.span()
}

/// Returns a text as the grammar has it: small letters, one kind of dash, blanks for commas and for the `T` of a date.
pub fn plain(text: &str) -> String {
    let text = text.trim().to_lowercase();
    let text = text.replace(',', " ").replace(['−', '‑'], "-");
    let text = text.replace("a.m.", "am").replace("p.m.", "pm");
    let dated = |word: &str| match word.as_bytes().get(10) {
        Some(b't')
            if word.is_char_boundary(10)
                && word[..10].bytes().all(|b| b.is_ascii_digit() || b == b'-') =>
        {
            format!("{} {}", &word[..10], &word[11..])
        }
        _ => word.to_owned(),
    };
    let words: Vec<String> = text.split_whitespace().map(dated).collect();
    words.join(" ")
}

struct Together {
    pieces: Pieces,
    zone: Zone,
    now: DateTime<Utc>,
}

impl Together {
    fn span(mut self) -> Option<Span> {
        if let Some(whole) = self.pieces.whole.take() {
            let is_alone = matches!(
                self.pieces,
                Pieces {
                    whole: None,
                    days: None,
                    yearly: None,
                    year: None,
                    number: None,
                    weekday: None,
                    part: None,
                    clock: None,
                    offset: None
                }
            );
            return is_alone.then_some(whole);
        }
        let days = self.days()?;
        if let (Some((from, until)), false) = (days.map(|(days, _)| days), self.has_hours()) {
            let (from, until) = (near_day(from)?, until);
            let every = days.map_or(Every::Once, |(_, every)| every);
            return Some(Span {
                range: self.range(
                    from.and_time(NaiveTime::MIN),
                    until.and_time(NaiveTime::MIN),
                ),
                is_moment: false,
                every,
            });
        }
        // Hours belong to one day.
        let day = match days {
            Some(((from, until), _)) => {
                Some((until == from.succ_opt()?).then_some(near_day(from)?)?)
            }
            None => None,
        };
        let every = days.map_or(Every::Day, |(_, every)| every);
        match (self.pieces.part, self.pieces.clock) {
            (Some((part, which)), None) => self.part(part, which, day, every),
            (Some((part, which)), Some(clock)) => {
                let around = self.part(part, which, day, every)?;
                self.clock_in(clock, part, around)
            }
            (None, Some(clock)) => self.clock(clock, day, every),
            (None, None) => None,
        }
    }

    fn has_hours(&self) -> bool {
        self.pieces.part.is_some() || self.pieces.clock.is_some()
    }

    fn today(&self) -> NaiveDate {
        self.zone.local(self.now).date_naive()
    }

    fn range(&self, from: NaiveDateTime, until: NaiveDateTime) -> Range {
        Range {
            from: self.zone.moment(from),
            until: self.zone.moment(until),
        }
    }

    /// Returns the days that are named, the first and the one after the last, and how often such days come.
    #[expect(clippy::option_option, reason = "no days, or days that are none")]
    fn days(&self) -> Option<Option<((NaiveDate, NaiveDate), Every)>> {
        let Pieces {
            days,
            yearly,
            year,
            number,
            weekday,
            ..
        } = self.pieces;
        let one = |day: NaiveDate| Some((day, day.succ_opt()?));
        let (days, every) = match (days, yearly, year, number) {
            (Some((from, until)), None, None, None) => ((from, until), Every::Once),
            (Some((from, until)), None, None, Some(number)) => {
                // The 8th of last month.
                let is_month =
                    from.day() == 1 && until == from.checked_add_months(Months::new(1))?;
                (one(is_month.then(|| from.with_day(number))??)?, Every::Once)
            }
            (None, Some((yearly, which)), year, number) => {
                let inside = |year| {
                    let (from, until) = in_year(yearly, year)?;
                    match number {
                        None => Some((from, until)),
                        Some(day) => one(matches!(yearly, Yearly::Months { count: 1, .. })
                            .then(|| from.with_day(day))??),
                    }
                };
                match year {
                    Some(year) => (inside(year)?, Every::Once),
                    None => (self.which(which, inside)?, Every::Year),
                }
            }
            (None, None, Some(year), None) => (
                in_year(
                    Yearly::Months {
                        first: 1,
                        count: 12,
                    },
                    year,
                )?,
                Every::Once,
            ),
            (None, None, None, Some(number)) => {
                let month = |back| {
                    let first = self
                        .today()
                        .with_day(1)?
                        .checked_sub_months(Months::new(back))?;
                    first.with_day(number).filter(|day| *day <= self.today())
                };
                (one((0..=12).find_map(month)?)?, Every::Month)
            }
            (None, None, None, None) => match weekday {
                Some((weekday, which)) => (one(self.weekday(weekday, which)?)?, Every::Week),
                None => return Some(None),
            },
            _ => return None,
        };
        // A weekday chooses a day of a week, and is checked beside a date.
        if let (Some((weekday, _)), true) = (weekday, every != Every::Week) {
            let mut inside = days.0.iter_days().take_while(|day| *day < days.1).take(7);
            let day = inside.find(|day| day.weekday() == weekday)?;
            ((days.1 - days.0).num_days() <= 7).then_some(())?;
            return Some(Some((one(day)?, every)));
        }
        Some(Some((days, every)))
    }

    /// Returns the one that is meant of what comes each year.
    fn which(
        &self,
        which: Which,
        inside: impl Fn(i32) -> Option<(NaiveDate, NaiveDate)>,
    ) -> Option<(NaiveDate, NaiveDate)> {
        let today = self.today();
        let year = today.year();
        // The 29th of February is as far away as eight years.
        let mut back = (year - 9..=year + 1).rev().filter_map(&inside);
        match which {
            Which::Latest => back.find(|(from, _)| *from <= today),
            Which::Last => back.find(|(_, until)| *until <= today),
            Which::This => inside(year),
            Which::Next => (year - 1..=year + 9)
                .filter_map(&inside)
                .find(|(from, _)| *from > today),
        }
    }

    fn weekday(&self, weekday: Weekday, which: Which) -> Option<NaiveDate> {
        let today = self.today();
        let ago = today.weekday().days_since(weekday).into();
        let back = |days| today.checked_sub_days(Days::new(days));
        match which {
            Which::Last if ago == 0 => back(7),
            Which::Latest if ago == 0 && !self.has_begun(today) => back(7),
            Which::Latest | Which::Last => back(ago),
            Which::This => today
                .week(Weekday::Mon)
                .checked_first_day()?
                .checked_add_days(Days::new(weekday.num_days_from_monday().into())),
            Which::Next => back(ago)?.checked_add_days(Days::new(7)),
        }
    }

    /// Returns whether the part of a day has begun that is named.
    fn has_begun(&self, day: NaiveDate) -> bool {
        self.pieces
            .part
            .is_none_or(|(part, _)| self.zone.moment(hours(day, part.from)) <= self.now)
    }

    fn part(&self, part: Part, which: Which, day: Option<NaiveDate>, every: Every) -> Option<Span> {
        let today = self.today();
        let day = match (day, which) {
            (Some(day), Which::Latest) => day,
            (Some(_), _) => return None,
            (None, Which::Last) => today.pred_opt()?,
            (None, Which::Latest) if !self.has_begun(today) => today.pred_opt()?,
            (None, Which::Latest | Which::This) => today,
            (None, Which::Next) => today.succ_opt()?,
        };
        // `this` and `last` name the day.
        let every = match which {
            Which::Latest => every,
            _ => Every::Once,
        };
        Some(Span {
            range: self.range(hours(day, part.from), hours(day, part.until)),
            is_moment: false,
            every,
        })
    }

    /// Reads a clock beside a part of the day: the one of its two meanings that lies there.
    fn clock_in(&self, clock: Clock, part: Part, around: Span) -> Option<Span> {
        let day = self.zone.local(around.range.from).date_naive();
        let halves = if clock.is_open { 4 } else { 3 };
        let at = (0..halves)
            .filter(|half| clock.is_open || half % 2 == 0)
            .find_map(|half| {
                let since = clock.since + TimeDelta::hours(12 * half);
                let is_inside = since >= TimeDelta::hours(part.around.0)
                    && since < TimeDelta::hours(part.around.1);
                is_inside.then_some(since)
            })?;
        self.at(
            day.and_time(NaiveTime::MIN) + at,
            clock.length,
            around.every,
        )
    }

    fn clock(&self, clock: Clock, day: Option<NaiveDate>, every: Every) -> Option<Span> {
        self.at(clock.on(day.unwrap_or(self.today())), clock.length, every)
    }

    fn at(&self, local: NaiveDateTime, length: TimeDelta, every: Every) -> Option<Span> {
        let from = match self.pieces.offset {
            Some(offset) => local.and_local_timezone(offset).single()?.to_utc(),
            None => self.zone.moment(local),
        };
        Some(Span {
            range: Range {
                from,
                until: from + length,
            },
            is_moment: true,
            every,
        })
    }
}

fn hours(day: NaiveDate, hours: i64) -> NaiveDateTime {
    day.and_time(NaiveTime::MIN) + TimeDelta::hours(hours)
}

/// Returns the days of what comes each year, in one.
fn in_year(yearly: Yearly, year: i32) -> Option<(NaiveDate, NaiveDate)> {
    let (from, until) = match yearly {
        Yearly::Months { first, count } => {
            let from = NaiveDate::from_ymd_opt(year, first, 1)?;
            (from, from.checked_add_months(Months::new(count))?)
        }
        Yearly::Week(week) => {
            let from = NaiveDate::from_isoywd_opt(year, week, Weekday::Mon)?;
            (from, from.checked_add_days(Days::new(7))?)
        }
    };
    is_near(from).then_some((from, until))
}

/// Returns whether a date has a year of four digits; with others, sums of times overflow.
pub fn is_near(date: NaiveDate) -> bool {
    (1..=9999).contains(&date.year())
}

fn near_day(date: NaiveDate) -> Option<NaiveDate> {
    is_near(date).then_some(date)
}
