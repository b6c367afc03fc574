//! Queries taken apart, and passages compared with them.

use super::*;

fn sample() -> Sample {
    let texts = [
        "a pool is full",
        "a lock is held",
        "a pool of PG_LOCK v2.1, `readAll`",
    ];
    Sample::new(texts.into_iter())
}

fn terms(query: &str) -> Terms {
    Terms::new(query, &sample(), true, Zone::default())
}

fn share(query: &str, text: &str) -> f32 {
    terms(query).share(text)
}

#[test]
fn rare_words_weigh_more_than_common_ones_and_stop_words_nothing() {
    let words = |query: &str| {
        let terms = terms(query);
        let words = terms.words().map(|(word, _)| word.to_owned());
        words.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(words("the pool, what is THE pool"), "pool");
    // Where nothing else is asked for, they are.
    assert_eq!(words("what is it"), "what is it");
    let (common, rare) = (share("pool held", "pool"), share("pool held", "held"));
    assert!(common > 0.0 && rare > common && (common + rare - 1.0).abs() < 1e-6);
    assert!(share("…", "…") < f32::EPSILON);
}

#[test]
fn words_are_compared_by_stem_and_identifiers_whole_or_by_parts() {
    let full = |query: &str, text: &str| {
        let share = share(query, text);
        assert!((share - 1.0).abs() < 1e-6, "{query} in {text}: {share}");
    };
    full("deadlocked pools", "the pool deadlocks");
    full("CAFÉ", "cafe");
    full("PG_LOCK v2.1", "pg_lock of v2.1");
    full("read all", "who calls `readAll`?");
    full("lock", "PG_LOCK");
    let parts = share("PG_LOCK", "the lock of pg");
    assert!(parts > 0.0 && parts < 0.6, "{parts}");
}

#[test]
fn phrases_must_stand_as_they_are() {
    let query = "why \"the Pool  is\" \"open";
    // Finding H8: in what nobody typed as a search, quotes are quotes.
    let read = Terms::new(query, &sample(), false, Zone::default());
    assert!(read.phrases().is_empty());
    let terms = terms(query);
    assert_eq!(terms.phrases(), ["the pool is"]);
    assert!(terms.has_phrases("so The\npool is full") && !terms.has_phrases("is the pool full"));
    assert!(self::terms("\"\"").has_phrases("anything"));
}

#[test]
fn what_is_named_and_never_mentioned_is_noticed() {
    let unknown =
        |query: &str| terms(query).names_unknown(&sample(), [keys(words("about Redis"))].iter());
    assert!(unknown("Kafka is full") && unknown("error E0382"));
    assert!(!unknown("PG_LOCK is kept in Redis") && !unknown("kafka is full"));
    // In passing it is not what is asked for.
    assert!(!unknown(
        "a terminal cannot launch our own code as the IDE can"
    ));
    assert!(!unknown("was the pool full in May 2023, or in June"));
}

#[test]
fn a_time_is_no_word_and_counts_for_what_is_from_it() {
    let terms = terms("the pool on 8 May 2023");
    let timely = |time: &str| {
        let moment = time.parse().unwrap();
        terms.is_timely(moment)
    };
    assert!(timely("2023-05-08T12:00:00Z") && timely("2023-05-10T12:00:00Z"));
    assert!(!timely("2023-05-20T12:00:00Z") && !timely("2022-05-08T12:00:00Z"));
    assert!((terms.share("the pool") - 1.0).abs() < 1e-6);
}

// Finding M16.
#[test]
fn of_very_many_words_the_rarest_count() {
    let many: Vec<String> = (0..200).map(|at| format!("w{at}")).collect();
    let sample = Sample::new([many[..180].join(" ").as_str()].into_iter());
    let terms = Terms::new(&many.join(" "), &sample, false, Zone::default());
    assert_eq!(terms.words().count(), MOST_WORDS);
    assert!((180..200).all(|at| terms.words().any(|(word, _)| word == format!("w{at}"))));
    assert_eq!(terms.text().split(' ').count(), MOST_WORDS);
}

#[test]
fn the_index_is_asked_for_what_says_something() {
    let asked = |query: &str| terms(query).text().to_owned();
    assert_eq!(asked("what is the cause"), "cause");
    let words = asked("getUserName of std::fs");
    let mut words: Vec<&str> = words.split(' ').collect();
    words.sort_unstable();
    assert_eq!(words, ["fs", "get", "getusername", "name", "std", "user"]);
    assert_eq!(asked("ERP审批"), "erp 审批");
}

#[test]
fn an_index_of_very_much_is_asked_for_the_rarest_words() {
    let asked = |query, passages| {
        let texts = ["kite wing tail", "kite wing moon", "kite reef", "kite dune"];
        let sample = Sample::new(texts.into_iter()).of(passages);
        let terms = Terms::new(query, &sample, false, Zone::default());
        let mut words: Vec<String> = terms.text().split(' ').map(str::to_owned).collect();
        words.sort();
        words.join(" ")
    };
    assert_eq!(asked("Kite wing tail!", 100_000), "kite tail wing");
    // One in four has `tail`, two have `wing`.
    assert_eq!(asked("Kite wing tail!", 400_000), "tail");
    assert_eq!(asked("kite wing tail dune", 400_000), "dune tail");
    assert_eq!(asked("kite wing", 2_000_000), "wing");
    // What the sample does not know costs nothing.
    assert_eq!(asked("Zeppelin tail", 400_000), "tail zeppelin");
}
