//! Replies with thoughts among them, and answers about the marks.

use super::*;

/// Checks reasoning and answer of a reply, and the calls in it, whole and cut at every character.
#[track_caller]
fn check(text: &str, reasoning: &str, answer: &str) {
    check_all(text, reasoning, answer, &[]);
}

#[track_caller]
fn check_all(text: &str, reasoning: &str, answer: &str, called: &[(&str, &str)]) {
    for cut in (0..=text.len()).filter(|cut| text.is_char_boundary(*cut)) {
        let mut thinking = Thinking::new();
        let mut pieces = thinking.push(&text[..cut]);
        pieces.extend(thinking.push(&text[cut..]));
        pieces.extend(thinking.finish(false));
        let (mut thought, mut said) = (String::new(), String::new());
        let mut calls = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Reasoning(text) => thought += &text,
                Piece::Text(text) => said += &text,
                Piece::Rethought => thought += &std::mem::take(&mut said),
                Piece::Call(name, arguments) => calls.push((name, arguments)),
            }
        }
        assert_eq!(
            (thought.as_str(), said.as_str()),
            (reasoning, answer),
            "cut at {cut}"
        );
        let calls: Vec<_> = calls.iter().map(|(n, a)| (&**n, &**a)).collect();
        assert_eq!(calls, called, "cut at {cut}");
    }
}

#[test]
fn reasoning_is_told_from_the_answer_wherever_the_text_is_cut() {
    check("<think>hm 🦀\n</think>\n\nYes.", "hm 🦀\n", "Yes.");
    check(" \n<think>a < b</think>c", "a < b", " \nc");
    check("one\n<think>two</think>three", "two", "one\nthree");
    check("<think>never closed", "never closed", "");
    check("<think></think>x", "", "x");
    for (open, close) in TAGS.iter().map(|tag| (tag.open, tag.close)) {
        let answer = "Yes: 1 < 2.";
        check(
            &format!("{open}\nhm\n{close}\n\n{answer}"),
            "\nhm\n",
            answer,
        );
        check(&format!("hm.\n{close}\n\n{answer}"), "hm.\n", answer);
    }
    let marked = "<|begin_of_thought|>\nhm\n<|end_of_thought|>\n\n<|begin_of_solution|>\nYes.\n<|end_of_solution|>";
    check(marked, "\nhm\n", "Yes.\n");
}

#[test]
fn a_mark_that_closes_what_nothing_has_opened_closes_all_before_it() {
    check("So.\nAnd so.\n</think>\n\nYes.", "So.\nAnd so.\n", "Yes.");
    check("So it is 391.</think>\nYes.", "So it is 391.", "Yes.");
    check("so 391</think>Yes.", "so 391", "Yes.");
    check("So.\n </THINK> \nYes.", "So.\n ", "Yes.");
    check("</think>\n\nYes.", "", "Yes.");
}

#[test]
fn an_answer_about_marks_stays_whole() {
    for answer in [
        "The <think> tag, <thin air",
        "<<think>x",
        "It ends with </think>\nand goes on.",
        "Write `</think>`\nand go on.",
        "Between <think> and\n</think>\nis the thought.",
        "```\n<think>\nhm\n</think>\n```\nis the form.",
        "```\nhm\n</think>\nx\n```\nis the form.",
        "The end is\n</think>",
        "</think> closes it.",
        "Say \"</think>\"\nthen.",
        "Use <|channel|>final<|message|> here.",
        "<|channel|> names\na channel.",
        "<|start|> is a mark",
        "analysis of it",
        "[THIN",
        "`x```\nThe end.",
    ] {
        check(answer, "", answer);
    }
}

#[test]
fn channels_are_told_apart() {
    let head = "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>";
    check(
        &format!("{head}final<|message|>four<|return|>"),
        "hm",
        "four",
    );
    check(&format!("{head}final<|message|>four"), "hm", "four");
    check(
        &format!("<|start|>assistant{head}final <|constrain|>json<|message|>4<|end|>"),
        "hm",
        "4",
    );
    check(
        "hm<|end|><|start|>assistant<|channel|>final<|message|>four",
        "hm",
        "four",
    );
    check("four<|return|>", "", "four");
    check("analysisWe add.assistantfinalfour", "We add.", "four");
    check(
        &format!(
            "{head}commentary<|message|>I look.<|end|><|start|>assistant<|channel|>final<|message|>four<|return|>"
        ),
        "hm",
        "I look.\n\nfour",
    );
    let call = [("functions.look", "{\"p\":\"a\"}")];
    for to in [
        "commentary to=functions.look <|constrain|>json<|message|>{\"p\":\"a\"}<|call|>",
        "commentary to=functions.look<|message|>{\"p\":\"a\"}",
        "analysis to=functions.look code<|message|>{\"p\":\"a\"}<|call|><|start|>assistant",
    ] {
        check_all(&format!("{head}{to}"), "hm", "", &call);
    }
    let made_up = "<|start|>functions.look to=assistant<|channel|>commentary<|message|>x<|end|>";
    let to = "<|start|>assistant to=functions.look<|channel|>commentary json<|message|>{\"p\":\"a\"}<|call|>";
    check_all(&format!("{to}{made_up}"), "x", "", &call);
}

#[test]
fn spoilt_replies_are_read_to_the_end() {
    let seeds = [
        "<think>hm 🦀\n</think>\n\nYes. `</think>`\n```\n<think>",
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant to=x<|channel|>commentary<|message|>{}<|call|>",
    ];
    crate::mutate::each(&seeds, |text| {
        let mut thinking = Thinking::new();
        for character in text.chars() {
            thinking.push(&character.to_string());
        }
        thinking.finish(false);
    });
}
