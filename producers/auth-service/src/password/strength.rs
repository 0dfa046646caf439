//! How hard a password is to guess, at a cost that has a bound.
//!
//! zxcvbn looks up every part of a password as it is, backwards, and in each way in which its look-alikes can be read (`4` is an `a`). The
//! ways multiply: a hundred characters that are chosen for it keep a core busy for as long as forty hashes do. So there is a bound to
//! readings times parts. Where a password is beyond it, each letter's look-alikes are written as one of them first, which leaves
//! one way to read it.
//!
//! Most people's words with spaces between them need no such look. What zxcvbn can put together from two patterns it calls easy if both
//! are; what needs three of them it never does, since it counts no fewer than 10⁸ guesses then. And next to no pattern has a space in it.

use std::borrow::Cow;

use zxcvbn::{Score, zxcvbn};

/// More than 10⁸ guesses: safe where guessing is slowed down, as it is here.
const MIN_SCORE: Score = Score::Three;

/// What zxcvbn takes for a letter. A test holds that it takes nothing else.
const LOOK_ALIKES: [(char, &[char]); 12] = [
    ('a', &['4', '@']),
    ('b', &['8']),
    ('c', &['(', '{', '[', '<']),
    ('e', &['3']),
    ('g', &['6', '9']),
    ('i', &['1', '!', '|']),
    ('l', &['1', '|', '7']),
    ('o', &['0']),
    ('s', &['$', '5']),
    ('t', &['+', '7']),
    ('x', &['%']),
    ('z', &['2']),
];

/// What zxcvbn looks at, at the most.
const LOOKED_AT: usize = 100;

/// Readings, times characters, times characters. What is just below takes nearly as long as a hash.
const MOST_WORK: usize = 32_000;

/// As many characters that fit no pattern are 10⁸ guesses.
const SAFE_WITHOUT_PATTERN: usize = 8;

/// Common passwords, words, names, dates, rows of keys and the words about somebody are easy.
pub(super) fn is_easy(password: &str, about: &[&str]) -> bool {
    !needs_three_parts(password, about) && zxcvbn(&bounded(password), about).score() < MIN_SCORE
}

/// Whether it is plain that two patterns are not enough for it. One of two would reach over the first half of it, or over the last,
/// and there is none that does: a word and a row of keys have no space, a date no letter, and what repeats itself or goes on
/// evenly is told by how it begins or ends.
fn needs_three_parts(password: &str, about: &[&str]) -> bool {
    let text = password.as_bytes();
    let half = text.len().div_ceil(2);
    let is_looked_at_by_bytes = password.is_ascii() && text.len() <= LOOKED_AT;
    if !is_looked_at_by_bytes || half < SAFE_WITHOUT_PATTERN || about.iter().any(|word| word.contains(' ')) {
        return false;
    }
    let (first, last) = (&text[..half], &text[text.len() - half..]);
    let is_parted = |half: &[u8]| half.contains(&b' ') && half.iter().any(u8::is_ascii_alphabetic);
    // As zxcvbn has it, whatever stands still before it goes on belongs to it.
    let goes_on_evenly = |half: &[u8]| {
        let mut steps = half.windows(2).map(|of| of[1].wrapping_sub(of[0])).filter(|step| *step != 0);
        let first = steps.next();
        steps.all(|step| Some(step) == first)
    };
    let repeats_itself = (1..=text.len() / 2).any(|base| {
        let (begin, end) = (&text[..2 * base], &text[text.len() - 2 * base..]);
        begin[..base] == begin[base..] || end[..base] == end[base..]
    });
    [first, last].into_iter().all(|half| is_parted(half) && !goes_on_evenly(half)) && !repeats_itself
}

fn bounded(password: &str) -> Cow<'_, str> {
    if work(password) <= MOST_WORK { Cow::Borrowed(password) } else { Cow::Owned(read_in_one_way(password)) }
}

fn work(password: &str) -> usize {
    let readings = LOOK_ALIKES.iter().map(|(_, alike)| present(password, alike).count().max(1)).product::<usize>();
    let characters = password.chars().take(LOOKED_AT).count();
    readings * characters * characters
}

fn present<'a>(password: &'a str, alike: &'a [char]) -> impl Iterator<Item = char> + use<'a> {
    alike.iter().copied().filter(move |alike| password.chars().take(LOOKED_AT).any(|character| character == *alike))
}

fn read_in_one_way(password: &str) -> String {
    let mut text = password.to_owned();
    for (_, alike) in LOOK_ALIKES {
        let first = present(&text, alike).next();
        if let Some(first) = first {
            text = text.replace(alike, &first.to_string());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};
    use zxcvbn::matching::patterns::MatchPattern;

    use super::*;

    /// Another table there would be another bound here.
    #[test]
    fn look_alikes_are_those_that_are_looked_for() {
        let word = "vjmzkqhxbwpgfyldocunistear";
        let is_read_as = |alike: char, letter: char| {
            let found = zxcvbn(&word.replace(letter, &alike.to_string()), &[word]);
            found.sequence().iter().any(|part| match &part.pattern {
                MatchPattern::Dictionary(found) => {
                    found.sub.as_ref().is_some_and(|sub| sub.get(&alike) == Some(&letter))
                }
                _ => false,
            })
        };
        for letter in 'a'..='z' {
            let known = LOOK_ALIKES.iter().find(|(of, _)| *of == letter).map_or(&[][..], |(_, alike)| alike);
            for alike in (' '..='~').filter(|alike| !alike.is_ascii_alphabetic()) {
                assert_eq!(is_read_as(alike, letter), known.contains(&alike), "{alike} as {letter}");
            }
        }
    }

    #[test]
    fn whatever_is_looked_at_there_is_a_bound_to_the_work() {
        let all = "4@8({[<3691!|0$5+7%2";
        let shared: String = "17|7711|".chars().cycle().take(128).collect();
        let between: String = all.chars().flat_map(|alike| ['k', 'v', alike, 'q', 'ü']).collect();
        for text in [&all.repeat(6), &shared, &between, &between.repeat(2)] {
            assert!(work(text) > MOST_WORK, "{text} needs no bound");
            // Two letters are still written with one character: an `i` and an `l`.
            assert!(work(&bounded(text)) <= MOST_WORK, "{text} became {}", bounded(text));
            assert_eq!(work(&bounded(text)), work(&"k".repeat(text.chars().count())), "there is one way to read it");
            assert_eq!(bounded(text).chars().count(), text.chars().count());
        }
        // As people write.
        for text in ["correct horse battery staple", "C0rrect-H0rse!-B4ttery-$taple-1987", "1234567890!@#$%^&*()"] {
            assert!(matches!(bounded(text), Cow::Borrowed(_)), "{text} is looked at as it is");
        }
    }

    #[test]
    fn words_with_spaces_need_no_look_and_what_could_be_two_patterns_gets_one() {
        for text in ["correct horse battery staple", "one two three four", "I am 12 years old"] {
            assert!(needs_three_parts(text, &["ada", "example.com"]), "{text}");
        }
        for text in [
            "correcthorsebatterystaple",
            "verwaltungsgemeinschaft a b c",
            "qwertyuiop asdfghjkl",
            "a b c a b c a b c",
            "x y z u x y z u correct horse",
            "12 12 1999 31 12 2001",
            " %*/49>C %*/49>C",
            "qwertyuiop[]  %*/49>CHMRW",
            "ein Pferd, das schläft",
            "a b c d",
        ] {
            assert!(!needs_three_parts(text, &[]), "{text}");
        }
        assert!(!needs_three_parts("the quick brown fox", &["the quick", "brown fox"]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        /// Of all that people and those who try to get around it might put together.
        #[test]
        fn nothing_that_is_easy_is_spared_the_look(
            parts in vec(
                prop_oneof![
                    select(&["password", "verwaltungsgemeinschaft", "i", "dr0wssap", "p4$$w0rd", "Ada", "waypost", "the"][..])
                        .prop_map(str::to_owned),
                    select(&["qwertyuiop[]", "1qaz2wsx3edc", "abcdefghijkl", "97531", " %*/49>CHMRW", "zyxwvut"][..])
                        .prop_map(str::to_owned),
                    select(&["12 12 1999", "1999 1 31", "31/12/01", "2024", " ", "  "][..]).prop_map(str::to_owned),
                    ("[ -~]{1,4}", 2..9_usize).prop_map(|(base, times)| base.repeat(times)),
                    "[ -~]{1,7}",
                ],
                1..5,
            ),
            space in select(&["", " "][..]),
        ) {
            let text: String = parts.join(space).chars().take(128).collect();
            let about = ["waypost", "ada", "example.com"];
            if needs_three_parts(&text, &about) {
                prop_assert!(zxcvbn(&text, &about).score() >= MIN_SCORE, "{text:?}");
            }
        }
    }

    #[test]
    fn what_is_easy_stays_so_beyond_the_bound() {
        // Words and repetitions that are written in all ways at once.
        let easy = ["p4ssw0rdp@$5w0rd", "p4ssw0rd"].map(|text| text.repeat(16).chars().take(128).collect::<String>());
        for text in &easy {
            assert!(is_easy(text, &[]), "{text} became {}", bounded(text));
        }
        assert!(easy.iter().any(|text| work(text) > MOST_WORK));
        let soup: String =
            "4k@v8q({z[<x3j691!|0$5+7%2".chars().rev().chain("kvqzxj749w@(".chars()).cycle().take(100).collect();
        assert!(work(&soup) > MOST_WORK && !is_easy(&soup, &[]));
    }
}
