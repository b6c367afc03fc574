//! Lines that were typed before there was a prompt to type them at.

use std::collections::VecDeque;

use super::input::goes_on;

/// Joins lines that belong together; Ctrl-D, which is none, stays so unless a text is open. Returns the texts, and the one that is not
/// complete.
pub fn texts(lines: Vec<Option<String>>) -> (VecDeque<Option<String>>, String) {
    let mut texts = VecDeque::new();
    let mut open = String::new();
    for line in lines {
        match line {
            Some(line) if goes_on(&mut open, &line) => {}
            Some(_) => texts.push_back(Some(std::mem::take(&mut open))),
            None if open.is_empty() => texts.push_back(None),
            None => {}
        }
    }
    (texts, open)
}

/// Puts what has not run before what is only begun, to be edited with it.
pub fn give_back(texts: &mut VecDeque<Option<String>>, begun: &mut String) {
    let mut lines: Vec<String> = texts.drain(..).flatten().collect();
    lines.push(std::mem::take(begun));
    *begun = lines.join("\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_belong_together_are_one_text_and_come_back_in_order() {
        let typed = ["one", "two\\", "three", "```", "x"].map(|line| Some(line.to_owned()));
        let (mut texts, mut begun) = texts([&typed[..], &[None]].concat());
        let expected = ["one", "two\nthree"].map(|text| Some(text.to_owned()));
        assert_eq!((&texts, &*begun), (&expected.into(), "```\nx\n"));
        give_back(&mut texts, &mut begun);
        assert_eq!(begun, "one\ntwo\nthree\n```\nx\n");
        let (left, _) = super::texts(vec![None]);
        assert_eq!(left, [None]);
    }
}
