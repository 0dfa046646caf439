//! Values that a schema allows: a few simple ones of each kind, tried in order.

use std::collections::HashSet;

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::{
    language::Language,
    shape::{Kind, Shape, number},
    validity::validator_of,
};

/// How many texts of a pattern are tried.
const TEXTS: usize = 24;

/// The simplest value that `shape` allows, with its required parts only; where there is one, one that `liked` allows
/// too. `None` where no value is found.
pub fn specimen(shape: &Shape, liked: &Shape) -> Option<Value> {
    let (allowed, better) = (validator_of(shape), validator_of(liked));
    // Most texts are of a format, and their patterns need not be looked at.
    let known = if shape.kinds.contains(&Kind::String) { of_format(shape) } else { Vec::new() };
    if let Some(known) = known.into_iter().find(|text| allowed.is_valid(text) && better.is_valid(text)) {
        return Some(known);
    }
    let mut found = None;
    for kind in &shape.kinds {
        for value in specimens(shape, *kind, liked, &allowed) {
            if better.is_valid(&value) {
                return Some(value);
            }
            found.get_or_insert(value);
        }
    }
    found
}

/// Simple values of one kind that `shape` allows.
pub fn specimens(shape: &Shape, kind: Kind, liked: &Shape, allowed: &Validator) -> Vec<Value> {
    let candidates = match (&shape.values, kind) {
        (Some(values), _) => values.clone(),
        (None, Kind::Null) => vec![Value::Null],
        (None, Kind::Boolean) => vec![false.into(), true.into()],
        (None, Kind::Integer | Kind::Number) => numbers(shape, liked),
        (None, Kind::String) => texts(shape, liked),
        (None, Kind::Array) => array(shape, liked).into_iter().collect(),
        (None, Kind::Object) => object(shape, liked).into_iter().collect(),
    };
    candidates.into_iter().filter(|value| is_of(value, kind) && allowed.is_valid(value)).collect()
}

fn is_of(value: &Value, kind: Kind) -> bool {
    match kind {
        Kind::Null => value.is_null(),
        Kind::Boolean => value.is_boolean(),
        Kind::Integer => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        Kind::Number => value.is_number(),
        Kind::String => value.is_string(),
        Kind::Array => value.is_array(),
        Kind::Object => value.is_object(),
    }
}

/// Around every bound that either of them has: what one allows and the other refuses is there.
fn numbers(shape: &Shape, liked: &Shape) -> Vec<Value> {
    let bounds = [shape.minimum, shape.maximum, liked.minimum, liked.maximum];
    let around = |bound: f64| [bound, bound - 1.0, bound + 1.0, bound - 0.5, bound + 0.5];
    let named = liked.values.iter().flatten().filter_map(Value::as_f64).flat_map(around);
    let near = bounds.into_iter().flatten().flat_map(around);
    [1.0, 0.0, -1.0, 0.5].into_iter().chain(near).chain(named).map(number).collect()
}

fn of_format(shape: &Shape) -> Vec<Value> {
    let texts: &[_] = match shape.format.as_deref() {
        Some("uuid") => &["019b76da-0000-7000-8000-000000000001", "019B76DA-0000-7000-8000-000000000001"],
        Some("date-time") => &["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05.678+01:00"],
        Some("email") => &["alice@example.com"],
        _ => &[],
    };
    texts.iter().copied().map(Value::from).collect()
}

fn texts(shape: &Shape, liked: &Shape) -> Vec<Value> {
    let known = of_format(shape);
    let Ok(language) = Language::of([shape.pattern.as_deref(), liked.pattern.as_deref()]) else { return known };
    let fits = shape.min_length..=shape.max_length.unwrap_or(usize::MAX);
    let settled = [shape.min_length, liked.min_length, liked.max_length.map_or(0, |max| max.saturating_add(1))];
    let settled = settled.into_iter().max().unwrap_or_default();
    let liked_too = {
        let range = liked.min_length..=liked.max_length.unwrap_or(usize::MAX);
        move |length: usize, [first, second]: [bool; 2]| first && second && range.contains(&length)
    };
    let both = language.texts(settled, shape.max_length, {
        let fits = fits.clone();
        move |length, accepts| fits.contains(&length) && liked_too(length, accepts)
    });
    let one = language.texts(settled, shape.max_length, move |length, [first, _]| fits.contains(&length) && first);
    // Texts of three letters or more read better than the shortest one.
    let (mut short, mut long) = (Vec::new(), Vec::new());
    for text in both.take(TEXTS).chain(one.take(TEXTS)) {
        if text.chars().count() < 3 { short.push(text) } else { long.push(text) }
    }
    known.into_iter().chain(long.into_iter().chain(short).map(Value::from)).collect()
}

fn array(shape: &Shape, liked: &Shape) -> Option<Value> {
    let (item, liked_item) = (shape.item(), liked.item());
    let mut items: Vec<Value> = Vec::new();
    if shape.min_items > 0 {
        let allowed = validator_of(&item);
        let mut choices: Vec<_> = item.kinds.iter().flat_map(|k| specimens(&item, *k, &liked_item, &allowed)).collect();
        if choices.is_empty() {
            return None;
        }
        if shape.unique_items {
            choices.extend(more_texts(&item, shape.min_items).into_iter().filter(|text| allowed.is_valid(text)));
            let mut seen = HashSet::new();
            choices.retain(|choice| seen.insert(choice.to_string()));
        } else {
            choices.truncate(1);
        }
        items.extend(choices.iter().cycle().take(shape.min_items).cloned());
    }
    Some(items.into())
}

/// Different ones, for a list that has each once.
fn more_texts(shape: &Shape, count: usize) -> Vec<Value> {
    let Ok(language) = Language::of([shape.text_pattern(), None]) else { return Vec::new() };
    let longest = shape.max_length.unwrap_or(usize::MAX).min(shape.min_length.saturating_add(TEXTS));
    if !shape.kinds.contains(&Kind::String) || longest < shape.min_length {
        return Vec::new();
    }
    // Any order will do, the same every time.
    let mut state = 1_u64;
    let mut choose = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below.max(1)
    };
    (0..count * 8)
        .filter_map(|_| language.at_random(shape.min_length..=longest, &mut choose))
        .map(Value::from)
        .collect()
}

fn object(shape: &Shape, liked: &Shape) -> Option<Value> {
    let mut fields = Map::new();
    for name in &shape.required {
        // A name that the schema requires and says nothing more of.
        let property = shape.property(name)?;
        let liked = liked.property(name).unwrap_or_else(Shape::anything);
        fields.insert(name.clone(), specimen(&property, &liked)?);
    }
    Some(json!(fields))
}

#[cfg(test)]
mod tests {
    use schemas::all_schemas;

    use super::*;
    use crate::validator;

    #[test]
    fn there_is_a_specimen_of_every_schema() {
        for entry in all_schemas() {
            let schema = entry.json_schema();
            let shape = Shape::read(&schema).unwrap();
            let found = specimen(&shape, &Shape::anything()).unwrap();
            let errors: Vec<_> = validator(&schema).iter_errors(&found).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{} {found}: {errors:?}", entry.title());
        }
    }

    #[test]
    fn a_schema_that_allows_nothing_has_none() {
        let nothing = Shape::read(&json!({"type": "string", "minLength": 3, "maxLength": 2})).unwrap();
        assert_eq!(specimen(&nothing, &Shape::anything()), None);
    }

    #[test]
    fn one_that_both_allow_is_preferred() {
        let [shape, liked] = [json!({"type": "integer"}), json!({"type": "integer", "minimum": 41})]
            .map(|schema| Shape::read(&schema).unwrap());
        assert_eq!(specimen(&shape, &liked), Some(json!(41)));
    }
}
