//! Which word may have been meant where one is not known.

/// Asks, where a hint begins, whether a word was meant for one of those that are known; of nothing near it says nothing.
pub fn suggestion<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    nearest(word, known).map_or(String::new(), |near| format!("did you mean `{near}`? "))
}

/// Returns that word of those that are known which another one may be a slip for.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let near = known.into_iter().filter(|known| is_near(word, known));
    near.min_by_key(|known| distance(word, known))
}

/// Returns how many letters are between two words, whatever marks them as a command or an option.
fn distance(one: &str, other: &str) -> usize {
    let [one, other] = [one, other].map(|word| word.trim_matches(['-', '/']).to_lowercase());
    strsim::osa_distance(&one, &other)
}

/// Returns whether a word may be a slip for another one: its beginning, or but for a third of it the same.
fn is_near(word: &str, other: &str) -> bool {
    let bare = |word: &str| word.trim_matches(['-', '/']).to_lowercase();
    let (word, other) = (bare(word), bare(other));
    let length = word.chars().count();
    (length > 1 && other.starts_with(&word)) || distance(&word, &other) <= (length / 3).max(1)
}
