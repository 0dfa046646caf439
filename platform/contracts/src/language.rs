//! Two patterns side by side, as one automaton over characters: whether one allows a text that the other refuses, which
//! text that is, and texts at random.
//!
//! Characters that no pattern tells apart are one *cell*; the automaton steps from cell to cell and holds the state of
//! both patterns. Texts are looked for in the order of their length, so the first one found is a shortest one, and not
//! finding one within as many more steps as there are states proves that there is none.

use std::{
    collections::{BTreeSet, HashMap},
    ops::RangeInclusive,
};

use regex_automata::{
    Anchored, MatchKind,
    dfa::{Automaton, StartKind, dense},
    util::{primitives::StateID, start},
};
use regex_syntax::hir::{Class, Hir, HirKind};

/// A pattern that is no regular expression, or that looks around, or that is too large to compare.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the pattern `{pattern}` can't be compared: {reason}")]
pub struct NotComparable {
    pub pattern: String,
    pub reason: String,
}

/// Lengths count characters, as JSON Schema does.
#[derive(Debug)]
pub struct Language {
    cells: Vec<RangeInclusive<char>>,
    /// By state and cell.
    next: Vec<Vec<u32>>,
    /// By state: what each of the two patterns says of a text that ends here.
    accepts: Vec<[bool; 2]>,
}

/// Far more than any pattern of ours has.
const MAX_STATES: usize = 20_000;
const MAX_BYTES: usize = 8 << 20;

impl Language {
    /// `None` allows every text.
    pub fn of(patterns: [Option<&str>; 2]) -> Result<Self, NotComparable> {
        let [first, second] = patterns.map(|pattern| pattern.map(Pattern::compile).transpose());
        let patterns = [first?, second?];
        let cells = cells(&patterns);
        let mut numbers = HashMap::new();
        let mut states = vec![patterns.each_ref().map(|p| p.as_ref().map(|p| p.start))];
        numbers.insert(states[0], 0);
        let (mut next, mut accepts) = (Vec::new(), Vec::new());
        let mut at = 0;
        while let Some(state) = states.get(at).copied() {
            accepts.push(each(&patterns, state, Pattern::accepts).map(|it| it.unwrap_or(true)));
            let mut row = Vec::with_capacity(cells.len());
            for cell in &cells {
                let to = each(&patterns, state, |pattern, state| pattern.step(state, *cell.start()));
                let number = *numbers.entry(to).or_insert_with(|| {
                    states.push(to);
                    states.len() as u32 - 1
                });
                row.push(number);
            }
            next.push(row);
            at += 1;
            if let (true, Some(pattern)) = (at > MAX_STATES, patterns.iter().flatten().next()) {
                let pattern = pattern.text.clone();
                return Err(NotComparable { pattern, reason: format!("it has more than {MAX_STATES} states") });
            }
        }
        Ok(Self { cells, next, accepts })
    }

    /// A shortest text for each length at which there is one that `wanted` takes, by length and by what the patterns
    /// say. `longest` bounds the search; without it, lengths from `settled` on are all alike.
    pub fn texts<'a>(
        &'a self,
        settled: usize,
        longest: Option<usize>,
        wanted: impl Fn(usize, [bool; 2]) -> bool + 'a,
    ) -> impl Iterator<Item = String> + 'a {
        let end = longest.unwrap_or(usize::MAX).min(settled.saturating_add(self.next.len()));
        let mut layers = vec![Layer::from([(0, None)])];
        (0..=end).filter_map(move |length| {
            if length > 0 {
                let layer = self.layer_after(&layers[length - 1]);
                layers.push(layer);
            }
            let mut states = layers[length].keys().copied().collect::<Vec<_>>();
            states.sort_unstable();
            let state = states.into_iter().find(|state| wanted(length, self.accepts[*state as usize]))?;
            Some(self.text(&layers, state))
        })
    }

    fn layer_after(&self, before: &Layer) -> Layer {
        let mut layer = Layer::new();
        let mut states: Vec<_> = before.keys().copied().collect();
        states.sort_unstable();
        for state in states {
            for (cell, to) in self.next[state as usize].iter().enumerate() {
                layer.entry(*to).or_insert(Some((state, cell)));
            }
        }
        layer
    }

    fn text(&self, layers: &[Layer], mut state: u32) -> String {
        let mut letters = Vec::new();
        for layer in layers.iter().rev() {
            if let Some((before, cell)) = layer[&state] {
                letters.push(nice(&self.cells[cell]));
                state = before;
            }
        }
        letters.iter().rev().collect()
    }

    /// A text that the first pattern allows, of one of `lengths`; `choose(n)` answers a number below `n`. `None` where
    /// there is no such text.
    pub fn at_random(&self, lengths: RangeInclusive<usize>, choose: &mut dyn FnMut(usize) -> usize) -> Option<String> {
        let alive = self.alive(*lengths.end());
        let feasible: Vec<_> = lengths.filter(|length| alive[*length][0]).collect();
        let length = *feasible.get(choose(feasible.len().max(1)))?;
        let (mut state, mut text) = (0_usize, String::new());
        for left in (0..length).rev() {
            let open = |cell: &usize| alive[left][self.next[state][*cell] as usize];
            // Letters and digits stand first, and what people hardly type stands last: earlier ones are more likely.
            let cells: Vec<_> = (0..self.cells.len()).filter(open).collect();
            let at = choose(cells.len()).min(choose(cells.len()));
            text.push(any_of(&self.cells[cells[at]], choose));
            state = self.next[state][cells[at]] as usize;
        }
        Some(text)
    }

    /// By number of steps and state: whether the first pattern can allow a text after exactly so many more steps.
    fn alive(&self, steps: usize) -> Vec<Vec<bool>> {
        let mut alive: Vec<Vec<bool>> = vec![self.accepts.iter().map(|[first, _]| *first).collect()];
        for step in 0..steps {
            let before = &alive[step];
            let row = self.next.iter().map(|row| row.iter().any(|to| before[*to as usize])).collect();
            alive.push(row);
        }
        alive
    }
}

/// How each state was reached: from which, by which cell.
type Layer = HashMap<u32, Option<(u32, usize)>>;

struct Pattern {
    text: String,
    dfa: dense::DFA<Vec<u32>>,
    start: StateID,
    borders: BTreeSet<u32>,
}

impl Pattern {
    fn compile(text: &str) -> Result<Self, NotComparable> {
        let failed = |error: &dyn std::error::Error| NotComparable {
            pattern: text.to_owned(),
            // Only the last line says what is wrong; the others draw the pattern.
            reason: error.to_string().lines().last().unwrap_or_default().to_owned(),
        };
        let translated = from_ecma(text);
        let translated =
            translated.map_err(|why| NotComparable { pattern: text.to_owned(), reason: why.to_owned() })?;
        let hir = regex_syntax::parse(&translated).map_err(|error| failed(&error))?;
        let mut borders = BTreeSet::new();
        collect_borders(&hir, &mut borders);
        // A pattern is searched for: anything may stand before and behind it.
        let anything = || regex_syntax::parse("(?s:.)*").expect("it is one");
        let whole = Hir::concat(vec![anything(), hir, anything()]);
        let nfa = regex_automata::nfa::thompson::Compiler::new().build_from_hir(&whole);
        let config = dense::Config::new()
            .match_kind(MatchKind::All)
            .start_kind(StartKind::Anchored)
            .dfa_size_limit(Some(MAX_BYTES))
            .determinize_size_limit(Some(MAX_BYTES));
        let dfa = nfa.map_err(|error| failed(&error))?;
        let dfa = dense::Builder::new().configure(config).build_from_nfa(&dfa).map_err(|error| failed(&error))?;
        let start = dfa.start_state(&start::Config::new().anchored(Anchored::Yes)).map_err(|error| failed(&error))?;
        Ok(Self { text: text.to_owned(), dfa, start, borders })
    }

    fn step(&self, state: StateID, letter: char) -> StateID {
        let mut bytes = [0; 4];
        letter.encode_utf8(&mut bytes).bytes().fold(state, |state, byte| self.dfa.next_state(state, byte))
    }

    fn accepts(&self, state: StateID) -> bool {
        self.dfa.is_match_state(self.dfa.next_eoi_state(state))
    }
}

fn each<T>(
    patterns: &[Option<Pattern>; 2],
    state: [Option<StateID>; 2],
    of: impl Fn(&Pattern, StateID) -> T,
) -> [Option<T>; 2] {
    [0, 1].map(|at| patterns[at].as_ref().zip(state[at]).map(|(pattern, state)| of(pattern, state)))
}

/// From ECMA-262, which JSON Schema names, to what Rust's parser means by the same. `\d`, `\w` and `\s` mean more to Rust,
/// and `.` less; what only one of the two knows is refused, since it would be read as something else.
fn from_ecma(pattern: &str) -> Result<String, &'static str> {
    let mut letters = pattern.chars().peekable();
    let (mut text, mut in_class) = (String::new(), false);
    while let Some(letter) = letters.next() {
        let next = letters.peek().copied();
        match letter {
            '\\' => text += &escape(letters.next().ok_or("it ends with a backslash")?, in_class)?,
            '[' if in_class => return Err("a bracket within a class means something else elsewhere"),
            '[' => {
                in_class = true;
                text.push(letter);
            }
            ']' => {
                in_class = false;
                text.push(letter);
            }
            '&' | '~' | '-' if in_class && next == Some(letter) => {
                return Err("a doubled sign within a class means something else elsewhere");
            }
            '.' if !in_class => text += r"[^\n\r\u{2028}\u{2029}]",
            '(' if next == Some('?') => {
                letters.next();
                match letters.next() {
                    Some(':') => text += "(?:",
                    _ => return Err("look-around, names and flags of groups are not supported"),
                }
            }
            _ => text.push(letter),
        }
    }
    Ok(text)
}

fn escape(letter: char, in_class: bool) -> Result<String, &'static str> {
    Ok(match letter {
        'd' => "[0-9]".to_owned(),
        'D' => "[^0-9]".to_owned(),
        'w' => "[0-9A-Za-z_]".to_owned(),
        'W' => "[^0-9A-Za-z_]".to_owned(),
        's' => r"[\t\n\x0b\x0c\r\u{feff}\u{2028}\u{2029}\p{Zs}]".to_owned(),
        'S' => r"[^\t\n\x0b\x0c\r\u{feff}\u{2028}\u{2029}\p{Zs}]".to_owned(),
        'n' | 'r' | 't' | 'f' | 'v' | 'x' | 'u' => format!("\\{letter}"),
        // Rust wants an escape only for what means something.
        '/' => "/".to_owned(),
        '-' if !in_class => "-".to_owned(),
        sign if sign.is_ascii_punctuation() => format!("\\{sign}"),
        _ => return Err("an escape in it is not one that is known everywhere"),
    })
}

/// Where a pattern begins to treat characters differently.
fn collect_borders(hir: &Hir, borders: &mut BTreeSet<u32>) {
    let mut add = |first: u32, last: u32| {
        borders.insert(first);
        borders.insert(last + 1);
    };
    match hir.kind() {
        HirKind::Class(Class::Unicode(class)) => {
            class.ranges().iter().for_each(|range| add(range.start() as u32, range.end() as u32));
        }
        HirKind::Class(Class::Bytes(class)) => {
            class.ranges().iter().for_each(|range| add(range.start().into(), range.end().into()));
        }
        HirKind::Literal(literal) => {
            String::from_utf8_lossy(&literal.0).chars().for_each(|letter| add(letter as u32, letter as u32));
        }
        HirKind::Repetition(repetition) => collect_borders(&repetition.sub, borders),
        HirKind::Capture(capture) => collect_borders(&capture.sub, borders),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            for part in parts {
                collect_borders(part, borders);
            }
        }
        HirKind::Empty | HirKind::Look(_) => {}
    }
}

/// Ranges of characters that neither pattern tells apart: letters and digits first, control characters last.
fn cells(patterns: &[Option<Pattern>; 2]) -> Vec<RangeInclusive<char>> {
    // Those that make every cell of one sort, and those between which there are no characters.
    let sorts = [' ', '0', ':', 'A', '[', 'a', '{', '\u{7f}', '\u{a0}'].map(u32::from);
    let mut borders: BTreeSet<_> = [0, 0xd800, 0xe000, 0x11_0000].into_iter().chain(sorts).collect();
    borders.extend(patterns.iter().flatten().flat_map(|pattern| pattern.borders.iter().copied()));
    let starts: Vec<_> = borders.iter().copied().collect();
    let range = |pair: &[u32]| Some(char::from_u32(pair[0])?..=char::from_u32(pair[1] - 1)?);
    let mut cells: Vec<_> = starts.windows(2).filter_map(range).collect();
    cells.sort_by_key(|cell| match cell.start() {
        'a'..='z' => 0,
        'A'..='Z' => 1,
        '0'..='9' => 2,
        ' '..='~' => 3,
        letter if !letter.is_control() => 4,
        _ => 5,
    });
    cells
}

fn nice(cell: &RangeInclusive<char>) -> char {
    *cell.start()
}

fn any_of(cell: &RangeInclusive<char>, choose: &mut dyn FnMut(usize) -> usize) -> char {
    const FAMILIAR: [char; 8] = ['é', 'ü', 'ß', 'ñ', 'Ł', 'π', '日', '😀'];
    let (first, last) = (*cell.start() as u32, *cell.end() as u32);
    let familiar: Vec<_> = FAMILIAR.into_iter().filter(|letter| cell.contains(letter)).collect();
    match familiar.get(choose(familiar.len().max(1))) {
        Some(letter) => *letter,
        None => char::from_u32(first + choose((last - first + 1) as usize) as u32).unwrap_or(*cell.start()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shortest text that the first allows and the second refuses.
    fn refused(first: &str, second: &str) -> Option<String> {
        let language = Language::of([Some(first), Some(second)]).unwrap();
        let mut texts = language.texts(0, None, |_, [first, second]| first && !second);
        texts.next()
    }

    #[test]
    fn a_pattern_within_another_is_proven_to_be() {
        for (narrow, wide) in [
            ("^[a-z]+$", "^[a-z0-9]+$"),
            ("^a+$", "^a*$"),
            ("^abc$", "b"),
            (r"^[^@\s\u0000-\u001f]+@x$", r"^[^@\s]+@[^@\s]+$"),
            ("^(ab|cd)$", "^[abcd]{2}$"),
            ("^.+$", r"^[^\n\r]+$"),
            (r"^\d{3}$", r"^\w+$"),
        ] {
            assert_eq!(refused(narrow, wide), None, "{narrow} in {wide}");
            assert!(refused(wide, narrow).is_some(), "{wide} in {narrow}");
        }
    }

    #[test]
    fn a_shortest_text_shows_the_difference() {
        assert_eq!(refused("^[a-z0-9]*$", "^[a-z]*$").unwrap(), "0");
        assert_eq!(refused("^[a-z]+$", "^[a-y]+$").unwrap(), "z");
        assert_eq!(refused("^a{1,9}$", "^a{1,5}$").unwrap(), "aaaaaa");
        assert_eq!(refused("a", "^a$").unwrap(), "aa");
        assert_eq!(refused(r"^\S$", r"^[^\u0020]$"), None);
        assert_eq!(refused(r"^[^\u0020]$", r"^\S$").unwrap(), "\u{a0}");
        assert_eq!(refused(r"^[^\n]+$", "^.+$").unwrap(), "\u{2028}");
    }

    #[test]
    fn lengths_and_patterns_are_judged_together() {
        let language = Language::of([Some("^(ab)*$"), None]).unwrap();
        let longer_than_five = |length, [fits, _]: [bool; 2]| fits && length > 5;
        assert_eq!(language.texts(6, None, longer_than_five).next().unwrap(), "ababab");
        assert_eq!(language.texts(6, Some(5), longer_than_five).next(), None);
        let odd = |length: usize, [fits, _]: [bool; 2]| fits && length % 2 == 1;
        assert_eq!(language.texts(20, None, odd).next(), None);
    }

    #[test]
    fn what_is_not_regular_is_refused_by_name() {
        let error = Language::of([Some("(?=a)b"), None]).unwrap_err();
        assert_eq!(error.pattern, "(?=a)b");
        assert!(error.reason.contains("look-around"), "{error}");
        for pattern in ["(", "^[a&&a]$", "^[[a]]$", "(?i)a", r"\Aa", r"a\b", "(?<name>a)", "\\"] {
            assert!(Language::of([Some(pattern), None]).is_err(), "{pattern}");
        }
    }

    #[test]
    fn a_text_at_random_is_one_of_the_language() {
        let pattern = r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$";
        let language = Language::of([Some(pattern), None]).unwrap();
        let check = regex_automata::meta::Regex::new(pattern).unwrap();
        let mut seed = 1_usize;
        let mut choose = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        for _ in 0..200 {
            let text = language.at_random(1..=12, &mut choose).unwrap();
            assert!(check.is_match(&text) && text.chars().count() <= 12, "{text}");
        }
        assert_eq!(Language::of([Some("^a{3}$"), None]).unwrap().at_random(0..=2, &mut choose), None);
    }
}
