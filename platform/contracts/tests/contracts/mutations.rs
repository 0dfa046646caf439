//! Eighteen ways of changing a schema that a check can misjudge, applied to every version of every event.
//!
//! Each event carries four more fields that all eighteen apply to; those that apply to fields of its own are tried on
//! each of these as well.

use std::collections::BTreeSet;

use contracts::{Direction, Finding, Incompatible, Mode, Older, Published, Shape, check, gaps, validator};
use schemas::{SchemaEntry, all_schemas};
use serde_json::{Value, json};

use crate::read_by_mailer;

const ID: &str = "mutatedId";
const KIND: &str = "mutatedKind";
const N: &str = "mutatedNumber";
const NOTE: &str = "mutatedNote";

struct Mutation {
    name: &'static str,
    /// The keyword that refuses, where a direction breaks.
    backward: Option<&'static str>,
    forward: Option<&'static str>,
    /// Where.
    field: &'static str,
    apply: fn(&mut Value),
}

const fn mutation(
    name: &'static str,
    [backward, forward]: [Option<&'static str>; 2],
    field: &'static str,
    apply: fn(&mut Value),
) -> Mutation {
    Mutation { name, backward, forward, field, apply }
}

const MUTATIONS: [Mutation; 18] = [
    mutation("add_optional", [None, None], "added", |s| s["properties"]["added"] = json!({"type": "string"})),
    mutation("description_only", [None, None], ID, |s| s["properties"][ID]["description"] = "another".into()),
    mutation("add_required", [Some("required"), None], "added", |s| {
        s["properties"]["added"] = json!({"type": "string"});
        require(s, "added");
    }),
    mutation("optional_to_required", [Some("required"), None], NOTE, |s| require(s, NOTE)),
    mutation("enum_narrow", [Some("enum"), None], KIND, |s| s["properties"][KIND]["enum"] = json!(["a"])),
    mutation("enum_added", [Some("enum"), None], ID, |s| s["properties"][ID]["enum"] = json!(["x", "y"])),
    mutation("pattern_added", [Some("pattern"), None], ID, |s| s["properties"][ID]["pattern"] = "^[a-z]+$".into()),
    mutation("maxLength_tighten", [Some("maxLength"), None], ID, |s| s["properties"][ID]["maxLength"] = 32.into()),
    mutation("minimum_tighten", [Some("minimum"), None], N, |s| s["properties"][N]["minimum"] = 1.into()),
    mutation("closed", [Some("additionalProperties"), None], "", |s| s["additionalProperties"] = false.into()),
    mutation("enum_widen", [None, Some("enum")], KIND, |s| s["properties"][KIND]["enum"] = json!(["a", "b", "c"])),
    mutation("maxLength_loosen", [None, Some("maxLength")], ID, |s| s["properties"][ID]["maxLength"] = 128.into()),
    mutation("required_to_optional", [None, Some("required")], ID, |s| release(s, ID)),
    mutation("remove_optional", [None, Some("properties")], NOTE, |s| remove(s, NOTE)),
    mutation("int_to_number", [None, Some("type")], N, |s| s["properties"][N]["type"] = "number".into()),
    mutation("nullable_added", [None, Some("type")], ID, |s| s["properties"][ID]["type"] = json!(["string", "null"])),
    mutation("remove_required", [None, Some("required")], ID, |s| {
        release(s, ID);
        remove(s, ID);
    }),
    mutation("int_to_string", [Some("type"), Some("type")], N, |s| s["properties"][N] = json!({"type": "string"})),
];

fn require(schema: &mut Value, field: &str) {
    schema["required"].as_array_mut().unwrap().push(field.into());
}

fn release(schema: &mut Value, field: &str) {
    schema["required"].as_array_mut().unwrap().retain(|name| name != field);
}

fn remove(schema: &mut Value, field: &str) {
    schema["properties"].as_object_mut().unwrap().remove(field);
}

/// The event's own schema with the four fields more.
fn carrier(entry: &SchemaEntry) -> Value {
    let mut schema = entry.json_schema();
    schema["properties"][ID] = json!({"type": "string", "maxLength": 64});
    schema["properties"][KIND] = json!({"type": "string", "enum": ["a", "b"]});
    schema["properties"][N] = json!({"type": "integer", "minimum": 0});
    schema["properties"][NOTE] = json!({"type": "string"});
    for field in [ID, KIND, N] {
        require(&mut schema, field);
    }
    schema
}

/// Everything as it is, but for one version.
fn published(entry: &SchemaEntry, schema: &Value) -> Published {
    [((entry.event_type.to_string(), entry.version), schema.clone())].into()
}

/// What is found in the directions that `mode` asks for; whatever changed is told as an edit besides.
fn found(entry: &SchemaEntry, old: &Value, new: &Value, mode: Mode) -> Vec<Incompatible> {
    let report = check(&published(entry, new), &published(entry, old), &read_by_mailer(&[]), mode).unwrap();
    let is_edited = report.findings.iter().any(|finding| matches!(finding, Finding::Edited { .. }));
    assert_eq!(is_edited, report.compared.unchanged == 0);
    let incompatible = report.findings.into_iter().filter_map(|finding| match finding {
        Finding::Incompatible(incompatible) => Some(incompatible),
        _ => None,
    });
    incompatible.collect()
}

fn assert_shown(found: &Incompatible, old: &Value, new: &Value) {
    let [old, new] = [old, new].map(validator);
    let document = found.gap.witness.as_ref().unwrap_or_else(|| panic!("no document shows {found:?}"));
    let (writer, reader) = match found.direction {
        Direction::Backward => (old, new),
        Direction::Forward => (new, old),
    };
    assert!(writer.is_valid(document), "{found:?}");
    let refused: BTreeSet<_> = reader.iter_errors(document).map(|error| error.instance_path().to_string()).collect();
    assert_eq!(refused.len(), 1, "{found:?} is refused in more than one place: {refused:?}");
}

#[test]
fn every_mutation_of_every_event_gets_its_verdict_in_every_mode() {
    for entry in all_schemas() {
        let old = carrier(entry);
        for mutation in &MUTATIONS {
            let mut new = old.clone();
            (mutation.apply)(&mut new);
            assert_ne!(old, new, "{}", mutation.name);
            let title = format!("{} of {}", mutation.name, entry.title());
            let both = [(Direction::Backward, mutation.backward), (Direction::Forward, mutation.forward)];
            for mode in [Mode::Backward, Mode::Forward, Mode::Full] {
                let asked = both.iter().filter(|(direction, _)| mode.asks_for(*direction));
                let expected: Vec<_> =
                    asked.filter_map(|(direction, rule)| rule.map(|rule| (*direction, rule))).collect();
                let found = found(entry, &old, &new, mode);
                let got: Vec<_> = found.iter().map(|it| (it.direction, &*it.gap.rule)).collect();
                assert_eq!(got, expected, "{title} in {mode}: {found:#?}");
                for it in &found {
                    let pointer =
                        if mutation.field.is_empty() { String::new() } else { format!("/{}", mutation.field) };
                    assert_eq!(it.gap.pointer, pointer, "{title}");
                    assert_eq!(it.removed, mutation.name.starts_with("remove_"), "{title}");
                    assert_shown(it, &old, &new);
                }
            }
        }
    }
}

#[test]
fn every_field_of_every_event_is_guarded() {
    let mut tried = 0;
    for entry in all_schemas() {
        let old = entry.json_schema();
        for (field, property) in old["properties"].as_object().unwrap() {
            let is_required = old["required"].as_array().unwrap().iter().any(|name| name == field);
            let kind = property["type"].as_str().unwrap();
            let other = if kind == "string" { "integer" } else { "string" };
            let changed = |change: &dyn Fn(&mut Value)| {
                let mut new = old.clone();
                change(&mut new);
                new
            };
            let nullable = changed(&|s| {
                let property = &mut s["properties"][field];
                property["type"] = json!([kind, "null"]);
                if let Some(Value::Array(words)) = property.get_mut("enum") {
                    words.push(Value::Null);
                }
            });
            let removed = changed(&|s| {
                release(s, field);
                remove(s, field);
            });
            let is_closed = property["enum"].is_array();
            let (null, gone) =
                (if is_closed { "enum" } else { "type" }, if is_required { "required" } else { "properties" });
            let mut cases = vec![
                ("nullable", nullable, [None, Some(null)]),
                ("another type", changed(&|s| s["properties"][field] = json!({"type": other})), [Some("type"); 2]),
                ("removed", removed, [None, Some(gone)]),
            ];
            if is_required {
                cases.push(("optional", changed(&|s| release(s, field)), [None, Some("required")]));
            } else {
                cases.push(("required", changed(&|s| require(s, field)), [Some("required"), None]));
            }
            if is_closed {
                let widened = |s: &mut Value| {
                    s["properties"][field]["enum"].as_array_mut().unwrap().push(json!("suspended"));
                };
                cases.push(("a word more", changed(&widened), [None, Some("enum")]));
            }
            for (name, new, expected) in cases {
                let found = found(entry, &old, &new, Mode::Full);
                let title = format!("{field} of {}, {name}: {found:#?}", entry.title());
                let rule = |wanted| found.iter().find(|it| it.direction == wanted).map(|it| &*it.gap.rule);
                assert_eq!([rule(Direction::Backward), rule(Direction::Forward)], expected, "{title}");
                for it in &found {
                    assert_eq!(it.gap.pointer, format!("/{field}"), "{title}");
                    assert_eq!(it.removed, name == "removed", "{title}");
                    assert_shown(it, &old, &new);
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 400, "{tried}");
}

/// Each pair was once taken for compatible, made a panic, or had no document to show.
#[test]
fn what_a_check_is_easily_wrong_about_is_judged_right() {
    let gaps = |writer: Value, reader: Value| {
        let [writer, reader] = [writer, reader].map(|schema| Shape::read(&schema).unwrap());
        let found = gaps(&writer, &reader, Older::Writer);
        found.into_iter().map(|gap| (gap.pointer, gap.rule.into_owned(), gap.witness.is_some())).collect::<Vec<_>>()
    };
    let found = |pointer: &str, rule: &str, shown| vec![(pointer.to_owned(), rule.to_owned(), shown)];
    let map = |properties: Value| json!({"type": "object", "properties": properties, "additionalProperties": {"type": "string"}});
    assert_eq!(gaps(map(json!({})), map(json!({"count": {"type": "integer"}}))), found("/count", "type", true));
    let of = |schema: Value| json!({"type": "object", "properties": {"a": schema}});
    let strict = |properties: Value| json!({"properties": properties, "unevaluatedProperties": false});
    assert_eq!(gaps(strict(json!({"a": true})), strict(json!({}))), found("", "unevaluatedProperties", false));
    assert_eq!(
        gaps(of(json!({"enum": ["x", "y"]})), of(json!({"enum": ["x", "y"], "const": "x"}))),
        found("/a", "enum", true)
    );
    let exact = |maximum: i64| of(json!({"type": "integer", "maximum": maximum}));
    assert_eq!(gaps(exact((1 << 53) + 1), exact(1 << 53)), found("/a", "maximum", false));
    let text = |longest: Value| of(json!({"type": "string", "maxLength": longest}));
    assert_eq!(gaps(text(json!(u64::MAX)), text(json!(1_000_000_000))), found("/a", "maxLength", false));
    assert_eq!(gaps(text(json!(1_000_000_000)), text(json!(5))), found("/a", "maxLength", true));
    let list = |most: u64| {
        of(
            json!({"type": "array", "uniqueItems": true, "maxItems": most, "items": {"type": "string", "pattern": "^[a-z]{1,64}$"}}),
        )
    };
    assert_eq!(gaps(list(64), list(32)), found("/a", "maxItems", true));
    assert_eq!(gaps(list(u64::MAX), list(1_000_000_000)), found("/a", "maxItems", false));
    let nested = |most: u64| of(of(json!({"type": "array", "items": {"type": "string", "maxLength": most}})));
    assert_eq!(gaps(nested(9), nested(5)), found("/a/a/0", "maxLength", true));
    for no_schema in [json!({"pattern": "("}), json!({"type": []}), of(json!({"$ref": "#/$defs/nothing"}))] {
        assert!(Shape::read(&no_schema).is_err(), "{no_schema}");
    }
    let with_reference = |most: u64| json!({"$defs": {"t": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/t"}, "b": {"maxLength": most}}, "required": ["a"]});
    assert_eq!(gaps(with_reference(9), with_reference(5)), found("", "$defs", false));
}
