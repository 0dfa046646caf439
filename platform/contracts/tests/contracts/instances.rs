//! Verdicts against documents: where nothing is found, no document that can be drawn shows a difference.

use contracts::{Older, Sampler, Shape, gaps, validator};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Schemas of one field of a kind, many of them close to each other.
fn field() -> impl Strategy<Value = Value> {
    let pattern = prop_oneof![
        Just("^[a-z]*$"),
        Just("^[a-z0-9]*$"),
        Just("^[a-c]+$"),
        Just("^(ab)*$"),
        Just("a"),
        Just(r"^\S*$"),
        Just(r"^[a-z]+(-[a-z]+)*$"),
        Just(r"^[^\u0000-\u001f]*$"),
    ];
    let text = (proptest::option::of(pattern), 0..4_usize, proptest::option::of(2..7_usize)).prop_map(
        |(pattern, min, max)| {
            let mut schema = json!({"type": "string", "minLength": min});
            if let Some(pattern) = pattern {
                schema["pattern"] = pattern.into();
            }
            if let Some(max) = max {
                schema["maxLength"] = max.max(min).into();
            }
            schema
        },
    );
    let kind = prop_oneof![Just("integer"), Just("number")];
    let bound = || proptest::option::of(-3..4_i64);
    let number = (kind, bound(), bound()).prop_map(|(kind, minimum, maximum)| {
        let mut schema = json!({"type": kind});
        if let Some(minimum) = minimum {
            schema["minimum"] = minimum.into();
        }
        if let Some(maximum) = maximum {
            schema["maximum"] = maximum.max(minimum.unwrap_or(maximum)).into();
        }
        schema
    });
    let words = proptest::sample::subsequence(vec![json!("a"), json!("ab"), json!("b-c"), json!(1), json!(null)], 1..5)
        .prop_map(|words| json!({"enum": words}));
    let plain =
        prop_oneof![Just(json!({"type": "boolean"})), Just(json!({"type": ["string", "null"]})), Just(json!(true))];
    let leaf = prop_oneof![4 => text, 2 => number, 2 => words, 1 => plain];
    let list = (leaf.clone(), 0..2_usize, 2..4_usize, any::<bool>()).prop_map(|(items, min, max, unique)| {
        json!({"type": "array", "items": items, "minItems": min, "maxItems": max, "uniqueItems": unique})
    });
    prop_oneof![4 => leaf, 1 => list]
}

fn object() -> impl Strategy<Value = Value> {
    let fields =
        proptest::collection::btree_map(prop_oneof![Just("a"), Just("b"), Just("c")], (field(), any::<bool>()), 0..3);
    (fields, prop_oneof![4 => Just(true), 1 => Just(false)]).prop_map(|(fields, open)| {
        let required: Vec<_> = fields.iter().filter(|(_, (_, required))| *required).map(|(name, _)| *name).collect();
        let properties: serde_json::Map<_, _> =
            fields.iter().map(|(name, (schema, _))| ((*name).to_owned(), schema.clone())).collect();
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": open})
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_judged_compatible_refuses_nothing_and_what_is_not_is_shown(writer in object(), reader in object()) {
        let found = gaps(&Shape::read(&writer).unwrap(), &Shape::read(&reader).unwrap(), Older::Reader);
        let (sent, taken) = (validator(&writer), validator(&reader));
        for gap in &found {
            if let Some(document) = &gap.witness {
                prop_assert!(sent.is_valid(document) && !taken.is_valid(document), "{:?}", gap);
            }
        }
        let mut sampler = Sampler::of_schema("test".to_owned(), &writer, 1).unwrap();
        for _ in 0..30 {
            let Ok(document) = sampler.sample() else { break };
            prop_assert!(!found.is_empty() || taken.is_valid(&document), "{} is refused, and nobody said so", document);
        }
    }

    #[test]
    fn a_schema_is_compatible_with_itself(schema in object()) {
        let shape = Shape::read(&schema).unwrap();
        for older in [Older::Writer, Older::Reader] {
            prop_assert_eq!(gaps(&shape, &shape, older), []);
        }
    }
}
