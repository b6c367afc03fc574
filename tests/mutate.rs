//! Spoilt inputs for tests: seeds that are cut, doubled, shuffled and sprinkled with what parsers trip over.

/// How many inputs each parser is given.
const INPUTS: u64 = 10_000;
/// What is put in somewhere.
const STRANGE: [&str; 24] = [
    "\0",
    "\u{1b}[2J",
    "\u{202e}",
    "\u{feff}",
    "é",
    "東京",
    "🦀",
    "\r\n",
    "\"",
    "\\",
    "'",
    "{",
    "}",
    "[",
    "]",
    ":",
    "/",
    "-",
    "..",
    "\u{fffd}",
    "99999999999999999999",
    "1e999",
    "null",
    "```",
];

/// Hands over inputs made from the seeds, the same ones each time.
pub fn each(seeds: &[&str], mut take: impl FnMut(&str)) {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..INPUTS {
        let mut text = seeds[random.usize(..seeds.len())].to_owned();
        for _ in 0..random.usize(1..6) {
            spoil(&mut text, seeds, &mut random);
        }
        take(&text);
    }
}

/// Does one thing to a text.
fn spoil(text: &mut String, seeds: &[&str], random: &mut fastrand::Rng) {
    let at = text.floor_char_boundary(random.usize(..=text.len()));
    let to = text.floor_char_boundary(random.usize(at..=text.len()));
    match random.u8(..6) {
        0 => text.truncate(at),
        1 => text.replace_range(at..to, ""),
        2 => text.insert_str(at, STRANGE[random.usize(..STRANGE.len())]),
        3 => {
            let part = text[at..to].repeat(random.usize(1..4));
            text.insert_str(at, &part);
        }
        4 => text.push_str(seeds[random.usize(..seeds.len())]),
        _ => {
            let letter: String = std::iter::once(random.char(..)).collect();
            text.replace_range(at..to, &letter);
        }
    }
    // What is doubled again and again would only take time.
    text.truncate(text.floor_char_boundary(4096));
}
