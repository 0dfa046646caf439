//! Whether everything that a writer's schema allows is allowed by a reader's, and if not, a document that shows it.
//!
//! Every gap is looked for at its own place, so one verdict names one field. A gap's document is allowed by the writer's
//! schema and refused by the reader's: an engine of its own says so, of the whole document, before it is told. What can
//! be neither shown nor ruled out is a gap without a document: nothing that isn't understood passes.
//!
//! Schemas are open: a writer may add names of its own. One thing is taken on trust: nobody used a name before the
//! contract gave it a meaning. Without it no field could ever be added; and it holds of our producers, whose structs
//! write what their version lists. The other way round nothing is trusted: a name that a newer version dropped may
//! come back with any value.

use std::{borrow::Cow, rc::Rc};

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::{
    language::Language,
    shape::{Additional, Kind, Shape, number},
    specimen::{specimen, specimens},
    validity::{validator_of, whole_validator},
};

/// Something that a writer may send and a reader refuses.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Gap {
    /// Of the field, as a JSON pointer into the document.
    pub pointer: String,
    /// The keyword of JSON Schema that refuses.
    pub rule: Cow<'static, str>,
    pub reason: String,
    /// A document that the writer's schema allows and the reader's refuses; `None` where none was found, though none
    /// could be ruled out.
    pub witness: Option<Value>,
}

/// Larger documents are not made: what would need one is told without.
const MOST_ITEMS: usize = 1_000;
const LONGEST_TEXT: usize = 20_000;

/// Which of the two is older: a name that only the newer one lists was not in use before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Older {
    Writer,
    Reader,
}

/// What `writer` allows and `reader` refuses; empty where there is nothing.
pub fn gaps(writer: &Shape, reader: &Shape, older: Older) -> Vec<Gap> {
    let (allows, refuses) = (whole_validator(writer), whole_validator(reader));
    let mut gaps = Search { older }.gaps(writer, reader);
    for gap in &mut gaps {
        gap.witness.take_if(|document| {
            let confirmed = allows.as_ref().zip(refuses.as_ref());
            !confirmed.is_some_and(|(allows, refuses)| allows.is_valid(document) && !refuses.is_valid(document))
        });
    }
    gaps
}

struct Search {
    older: Older,
}

/// A writer's and a reader's schema of one place, with what judges values by them.
struct Pair<'a> {
    writer: &'a Shape,
    reader: &'a Shape,
    allows: Rc<Validator>,
    refuses: Rc<Validator>,
}

impl Pair<'_> {
    fn shows(&self, value: &Value) -> bool {
        self.allows.is_valid(value) && !self.refuses.is_valid(value)
    }

    fn first_shown(&self, candidates: impl IntoIterator<Item = Value>) -> Option<Value> {
        candidates.into_iter().find(|value| self.shows(value))
    }
}

fn gap(rule: &'static str, reason: String, witness: Option<Value>) -> Gap {
    Gap { pointer: String::new(), rule: rule.into(), reason, witness }
}

/// Puts a value that shows a gap at one place into a document around it.
fn inside(gap: Gap, name: &str, document: impl Fn(Value) -> Option<Value>) -> Gap {
    let name = name.replace('~', "~0").replace('/', "~1");
    Gap { pointer: format!("/{name}{}", gap.pointer), witness: gap.witness.and_then(document), ..gap }
}

impl Search {
    fn gaps(&self, writer: &Shape, reader: &Shape) -> Vec<Gap> {
        if writer == reader || *reader == Shape::anything() {
            return Vec::new();
        }
        if let Some(rule) = not_judged(writer, reader) {
            let reason = "the two differ, and this keyword is not judged here".to_owned();
            return vec![Gap { rule: rule.into(), ..gap("", reason, None) }];
        }
        let [allows, refuses] = [writer, reader].map(validator_of);
        let pair = Pair { writer, reader, allows, refuses };
        if let Some(values) = &writer.values {
            let shown = values.iter().filter(|value| pair.shows(value));
            return shown.map(|value| of_a_value(value, reader)).collect();
        }
        writer.kinds.iter().flat_map(|kind| self.of_kind(&pair, *kind)).collect()
    }

    fn of_kind(&self, pair: &Pair<'_>, kind: Kind) -> Vec<Gap> {
        let Pair { writer, reader, .. } = *pair;
        if !reader.allows_kind(kind) {
            let integers_only = kind == Kind::Number && reader.kinds.contains(&Kind::Integer);
            let found = specimens(writer, kind, reader, &pair.allows);
            let witness = pair.first_shown(found);
            // A number that can only be a whole one is an integer.
            if integers_only && witness.is_none() && writer.minimum.is_some() && writer.minimum == writer.maximum {
                return Vec::new();
            }
            let taken: Vec<_> = reader.kinds.iter().map(|kind| kind.as_str()).collect();
            let reason = format!("a writer may send a value of type {kind}, a reader takes {}", taken.join(", "));
            return vec![gap("type", reason, witness)];
        }
        if reader.values.is_some() {
            return beyond_an_enum(pair, kind).into_iter().collect();
        }
        match kind {
            Kind::Null | Kind::Boolean => Vec::new(),
            Kind::Integer | Kind::Number => of_numbers(pair, kind),
            Kind::String => of_strings(pair),
            Kind::Array => self.of_arrays(pair),
            Kind::Object => self.of_objects(pair),
        }
    }

    fn of_arrays(&self, pair: &Pair<'_>) -> Vec<Gap> {
        let Pair { writer, reader, .. } = *pair;
        let (item, most) = (writer.item(), writer.max_items.unwrap_or(usize::MAX));
        let filled = |count: usize| {
            if count > MOST_ITEMS {
                return None;
            }
            let shape = Shape { min_items: count, ..writer.clone() };
            specimen(&shape, reader).filter(|value| pair.shows(value))
        };
        let mut gaps = Vec::new();
        if writer.min_items < reader.min_items {
            let reason = bounds("items", "at least", reader.min_items, Some(writer.min_items));
            gaps.push(gap("minItems", reason, filled(writer.min_items)));
        }
        if let Some(max) = reader.max_items.filter(|max| *max < most) {
            let reason = bounds("items", "at most", max, writer.max_items);
            gaps.push(gap("maxItems", reason, filled(max.saturating_add(1))));
        }
        if reader.unique_items && !writer.unique_items && most > 1 {
            let twice =
                specimen(&item, &reader.item()).map(|item| json!(vec![item; writer.min_items.clamp(2, MOST_ITEMS)]));
            let reason = "a writer may send an item twice, a reader takes each once".to_owned();
            gaps.push(gap("uniqueItems", reason, twice));
        }
        if most > 0 {
            let around = |value: Value| {
                let Some(Value::Array(mut items)) = specimen(writer, reader) else { return None };
                items.truncate(items.len().saturating_sub(1));
                items.insert(0, value);
                Some(items.into())
            };
            gaps.extend(self.gaps(&item, &reader.item()).into_iter().map(|gap| inside(gap, "0", around)));
        }
        gaps
    }

    fn of_objects(&self, pair: &Pair<'_>) -> Vec<Gap> {
        let Pair { writer, reader, .. } = *pair;
        let base = specimen(&only(writer, Kind::Object), reader);
        let with = |name: &str, value: Value| {
            let mut document = base.clone()?;
            document.as_object_mut()?.insert(name.to_owned(), value);
            Some(document)
        };
        let mut gaps = Vec::new();
        for name in reader.required.difference(&writer.required) {
            let reason = format!("a writer may leave `{name}` out, a reader requires it");
            gaps.push(inside(gap("required", reason, base.clone()), name, Some));
        }
        for (name, wanted) in &reader.properties {
            let listed = writer.properties.get(name);
            // In a map, which says what each name holds, every name is in use already.
            let is_map = matches!(writer.additional, Additional::Each(_));
            if listed.is_none() && !is_map && self.older == Older::Writer {
                continue;
            }
            let Some(sent) = writer.property(name) else { continue };
            let found = self.gaps(&sent, wanted).into_iter().map(|gap| inside(gap, name, |value| with(name, value)));
            match listed {
                Some(_) => gaps.extend(found),
                None if is_map => gaps.extend(found),
                // Told already: it may be left out.
                None if reader.required.contains(name) => {}
                None => gaps.extend(found.take(1).map(|gap| Gap {
                    rule: "properties".into(),
                    reason: format!("the writer's schema says nothing of `{name}` any more, so anything may come"),
                    ..gap
                })),
            }
        }
        for (name, sent) in writer.properties.iter().filter(|(name, _)| !reader.properties.contains_key(*name)) {
            match &reader.additional {
                Additional::Any => {}
                Additional::None => {
                    let witness = specimen(sent, &Shape::anything()).and_then(|value| with(name, value));
                    let reason = format!("a writer may send `{name}`, a reader takes the names only that it lists");
                    gaps.push(inside(gap("additionalProperties", reason, witness), name, Some));
                }
                Additional::Each(each) => {
                    gaps.extend(self.gaps(sent, each).into_iter().map(|gap| inside(gap, name, |v| with(name, v))));
                }
            }
        }
        gaps.extend(self.of_unlisted(writer, reader, with));
        gaps
    }

    /// Names that neither of them lists.
    fn of_unlisted(&self, writer: &Shape, reader: &Shape, with: impl Fn(&str, Value) -> Option<Value>) -> Vec<Gap> {
        const NAME: &str = "unlisted";
        let sent = match &writer.additional {
            Additional::None => return Vec::new(),
            Additional::Any => Shape::anything(),
            Additional::Each(each) => (**each).clone(),
        };
        match &reader.additional {
            Additional::Any => Vec::new(),
            Additional::None => {
                let witness = specimen(&sent, &Shape::anything()).and_then(|value| with(NAME, value));
                let reason =
                    "a writer may add names of its own, a reader takes the names only that it lists".to_owned();
                vec![gap("additionalProperties", reason, witness)]
            }
            Additional::Each(each) => {
                self.gaps(&sent, each).into_iter().map(|gap| inside(gap, NAME, |v| with(NAME, v))).collect()
            }
        }
    }
}

/// A keyword that is not judged. That both have it alike helps nothing: what it means may depend on those beside it.
fn not_judged(writer: &Shape, reader: &Shape) -> Option<String> {
    writer.beyond.keys().chain(reader.beyond.keys()).next().cloned()
}

fn only(shape: &Shape, kind: Kind) -> Shape {
    Shape { kinds: [kind].into(), ..shape.clone() }
}

fn of_a_value(value: &Value, reader: &Shape) -> Gap {
    let rule = if reader.values.is_some() { "enum" } else { "type" };
    gap(rule, format!("a writer may send {value}, a reader doesn't take it"), Some(value.clone()))
}

fn beyond_an_enum(pair: &Pair<'_>, kind: Kind) -> Option<Gap> {
    let witness = pair.first_shown(specimens(pair.writer, kind, pair.reader, &pair.allows));
    let few = matches!(kind, Kind::Null | Kind::Boolean);
    if few && witness.is_none() {
        return None;
    }
    let reason = "a writer may send other values than those few that a reader takes".to_owned();
    Some(gap("enum", reason, witness))
}

fn of_numbers(pair: &Pair<'_>, kind: Kind) -> Vec<Gap> {
    let Pair { writer, reader, .. } = *pair;
    let candidates = specimens(writer, kind, reader, &pair.allows);
    let shown = |beyond: &dyn Fn(f64) -> bool| {
        let witness = candidates.iter().find(|value| value.as_f64().is_some_and(beyond) && pair.shows(value));
        witness.cloned()
    };
    let mut gaps = Vec::new();
    if let Some(minimum) = reader.minimum.filter(|min| writer.minimum.is_none_or(|sent| sent < *min)) {
        let reason = bounds("", "at least", number(minimum), writer.minimum.map(number));
        gaps.push(gap("minimum", reason, shown(&|number| number < minimum)));
    }
    if let Some(maximum) = reader.maximum.filter(|max| writer.maximum.is_none_or(|sent| sent > *max)) {
        let reason = bounds("", "at most", number(maximum), writer.maximum.map(number));
        gaps.push(gap("maximum", reason, shown(&|number| number > maximum)));
    }
    gaps
}

fn of_strings(pair: &Pair<'_>) -> Vec<Gap> {
    let Pair { writer, reader, .. } = *pair;
    let mut gaps = Vec::new();
    let (sent_most, most) = (writer.max_length.unwrap_or(usize::MAX), reader.max_length.unwrap_or(usize::MAX));
    let language = Language::of([writer.text_pattern(), reader.pattern.as_deref()]);
    let settled =
        writer.min_length.max(reader.min_length).max(reader.max_length.map_or(0, |max| max.saturating_add(1)));
    let sent = writer.min_length..=sent_most;
    // The first that an engine confirms: of a writer's format, the automaton knows nothing.
    let search = |refused: &dyn Fn(usize, bool) -> bool| -> Option<(Option<Value>, bool)> {
        let language = language.as_ref().ok()?;
        let wanted =
            |length: usize, [first, second]: [bool; 2]| sent.contains(&length) && first && refused(length, second);
        if settled > LONGEST_TEXT {
            return Some((None, true));
        }
        let texts: Vec<_> = language.texts(settled, writer.max_length, wanted).take(8).map(Value::from).collect();
        let any = !texts.is_empty();
        let known = specimens(writer, Kind::String, &Shape::anything(), &pair.allows);
        let known = known.into_iter().filter(|text| {
            let text = text.as_str().unwrap_or_default();
            refused(text.chars().count(), reader.pattern.is_none())
        });
        Some((any.then(|| pair.first_shown(texts.into_iter().chain(known))).flatten(), any))
    };
    let mut judge = |rule: &'static str, reason: String, refused: &dyn Fn(usize, bool) -> bool| match search(refused) {
        Some((_, false)) => {}
        Some((witness, true)) => gaps.push(gap(rule, reason, witness)),
        None => {
            let why = language.as_ref().err().map(ToString::to_string).unwrap_or_default();
            gaps.push(gap(rule, format!("{reason}; {why}"), None));
        }
    };
    if sent_most > most {
        let reason = bounds("characters", "at most", most, writer.max_length);
        judge("maxLength", reason, &|length, _| length > most);
    }
    if writer.min_length < reader.min_length {
        let reason = bounds("characters", "at least", reader.min_length, Some(writer.min_length));
        judge("minLength", reason, &|length, _| length < reader.min_length);
    }
    if reader.pattern.is_some() && reader.pattern != writer.pattern {
        let pattern = reader.pattern.as_deref().unwrap_or_default();
        let reason = format!("a writer may send texts that don't match `{pattern}`, which a reader wants");
        judge("pattern", reason, &|_, second| !second);
    }
    if let Some(format) = reader.format.as_ref().filter(|format| writer.format.as_ref() != Some(format)) {
        let witness = pair.first_shown(specimens(writer, Kind::String, &Shape::anything(), &pair.allows));
        let reason = format!("a writer may send texts that are no `{format}`, which a reader wants");
        gaps.push(gap("format", reason, witness));
    }
    gaps
}

fn bounds<T: std::fmt::Display>(of: &str, how: &str, taken: T, sent: Option<T>) -> String {
    let of = if of.is_empty() { String::new() } else { format!(" {of}") };
    match sent {
        Some(sent) => format!("a reader takes {how} {taken}{of}, a writer may send {sent}"),
        None => format!("a reader takes {how} {taken}{of}, for a writer there is no bound"),
    }
}
