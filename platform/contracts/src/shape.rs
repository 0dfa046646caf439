//! A JSON Schema as the set of documents that it allows, annotations left out.
//!
//! The subset is the one that the schemas of events are written in. A keyword beyond it is kept as what it is, and makes
//! a schema that nothing can be proven of unless the other side is the same: what isn't understood never passes unseen.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde_json::{Map, Value};

use crate::validity::try_validator;

/// The kinds of JSON values. An integer is a number, and `2.0` is an integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Null,
    Boolean,
    Integer,
    Number,
    String,
    Array,
    Object,
}

impl Kind {
    const ALL: [Self; 6] = [Self::Null, Self::Boolean, Self::Number, Self::String, Self::Array, Self::Object];

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().chain([Self::Integer]).find(|kind| kind.as_str() == name)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::String => "string",
            Self::Array => "array",
            Self::Object => "object",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a schema says of the names that it doesn't list.
#[derive(Debug, Clone, PartialEq)]
pub enum Additional {
    Any,
    None,
    Each(Box<Shape>),
}

/// Bounds are those of the keywords; absent means unbounded.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    pub kinds: BTreeSet<Kind>,
    /// `enum` or `const`.
    pub values: Option<Vec<Value>>,
    pub minimum: Option<f64>,
    pub maximum: Option<f64>,
    pub pattern: Option<String>,
    pub format: Option<String>,
    pub min_length: usize,
    pub max_length: Option<usize>,
    pub items: Option<Box<Shape>>,
    pub min_items: usize,
    pub max_items: Option<usize>,
    pub unique_items: bool,
    pub properties: BTreeMap<String, Shape>,
    pub required: BTreeSet<String>,
    pub additional: Additional,
    /// Keywords that are not judged, with their values.
    pub beyond: BTreeMap<String, Value>,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{keyword}` at `{pointer}` should be {should_be}")]
pub struct InvalidSchema {
    pub pointer: String,
    pub keyword: String,
    pub should_be: &'static str,
}

/// They tell people something and allow or refuse nothing.
const ANNOTATIONS: [&str; 12] = [
    "$schema",
    "$id",
    "$comment",
    "title",
    "description",
    "examples",
    "default",
    "deprecated",
    "readOnly",
    "writeOnly",
    "contentMediaType",
    "contentEncoding",
];

impl Shape {
    /// Allows everything.
    pub fn anything() -> Self {
        Self {
            kinds: Kind::ALL.into(),
            values: None,
            minimum: None,
            maximum: None,
            pattern: None,
            format: None,
            min_length: 0,
            max_length: None,
            items: None,
            min_items: 0,
            max_items: None,
            unique_items: false,
            properties: BTreeMap::new(),
            required: BTreeSet::new(),
            additional: Additional::Any,
            beyond: BTreeMap::new(),
        }
    }

    pub fn read(schema: &Value) -> Result<Self, InvalidSchema> {
        let shape = read(schema, "")?;
        match try_validator(schema) {
            Some(_) => Ok(shape),
            None => Err(wrong("", "schema", "a valid one: a keyword or a pattern in it is not")),
        }
    }

    fn limit_to(&mut self, values: &[Value]) {
        match &mut self.values {
            Some(before) => before.retain(|value| values.contains(value)),
            None => self.values = Some(values.to_vec()),
        }
    }

    pub fn allows_kind(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind) || (kind == Kind::Integer && self.kinds.contains(&Kind::Number))
    }

    /// What is allowed under a name; `None` where the name isn't.
    pub fn property(&self, name: &str) -> Option<Self> {
        match (self.properties.get(name), &self.additional) {
            (Some(property), _) => Some(property.clone()),
            (None, Additional::Any) => Some(Self::anything()),
            (None, Additional::Each(each)) => Some((**each).clone()),
            (None, Additional::None) => None,
        }
    }

    /// Whether every keyword in it, at any depth, is one that is judged.
    pub fn is_judged(&self) -> bool {
        let additional = match &self.additional {
            Additional::Each(each) => each.is_judged(),
            Additional::Any | Additional::None => true,
        };
        self.beyond.is_empty()
            && additional
            && self.items.as_ref().is_none_or(|items| items.is_judged())
            && self.properties.values().all(Self::is_judged)
    }

    #[must_use]
    pub fn item(&self) -> Self {
        self.items.as_deref().cloned().unwrap_or_else(Self::anything)
    }

    /// What texts look like: by the pattern, or by the format where that says it all.
    pub fn text_pattern(&self) -> Option<&str> {
        self.pattern.as_deref().or(match self.format.as_deref() {
            Some("uuid") => Some("^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"),
            Some("date-time") => Some(RFC_3339),
            _ => None,
        })
    }

    /// A schema of the same meaning, what is not judged aside: that may refer to something elsewhere.
    pub fn to_schema(&self) -> Value {
        let mut schema = Map::new();
        let mut set = |keyword: &str, value: Option<Value>| {
            if let Some(value) = value {
                schema.insert(keyword.to_owned(), value);
            }
        };
        set("type", Some(self.kinds.iter().map(|kind| kind.as_str()).collect()));
        set("enum", self.values.clone().map(Value::from));
        set("minimum", self.minimum.map(number));
        set("maximum", self.maximum.map(number));
        set("pattern", self.pattern.clone().map(Value::from));
        set("format", self.format.clone().map(Value::from));
        set("minLength", Some(self.min_length.into()));
        set("maxLength", self.max_length.map(Value::from));
        set("items", self.items.as_ref().map(|items| items.to_schema()));
        set("minItems", Some(self.min_items.into()));
        set("maxItems", self.max_items.map(Value::from));
        set("uniqueItems", Some(self.unique_items.into()));
        let properties = self.properties.iter().map(|(name, shape)| (name.clone(), shape.to_schema()));
        set("properties", Some(Value::Object(properties.collect())));
        set("required", Some(self.required.iter().map(String::as_str).collect()));
        let additional = match &self.additional {
            Additional::Any => true.into(),
            Additional::None => false.into(),
            Additional::Each(each) => each.to_schema(),
        };
        set("additionalProperties", Some(additional));
        Value::Object(schema)
    }
}

/// As RFC 3339 has it, days of short months and leap seconds aside.
const RFC_3339: &str = r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt]([01][0-9]|2[0-3])(:[0-5][0-9]){2}(\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$";

/// Whole numbers as such: `5.0` would be shown where `5` was meant.
pub fn number(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 2_f64.powi(53) { (number as i64).into() } else { number.into() }
}

fn read(schema: &Value, pointer: &str) -> Result<Shape, InvalidSchema> {
    let mut shape = Shape::anything();
    let fields = match schema {
        Value::Bool(true) => return Ok(shape),
        Value::Object(fields) => fields,
        _ => return Err(wrong(pointer, "schema", "an object, or true")),
    };
    for (keyword, value) in fields {
        let wrong = |should_be| wrong(pointer, keyword, should_be);
        let below = |part: &str| format!("{pointer}/{part}");
        match keyword.as_str() {
            "type" => shape.kinds = kinds(value).ok_or_else(|| wrong("a type's name, or a list of them"))?,
            "enum" => shape.limit_to(value.as_array().ok_or_else(|| wrong("a list"))?),
            "const" => shape.limit_to(std::slice::from_ref(value)),
            "minimum" | "maximum" if !value.is_number() => return Err(wrong("a number")),
            "minimum" if is_exact(value) => shape.minimum = value.as_f64(),
            "maximum" if is_exact(value) => shape.maximum = value.as_f64(),
            "pattern" => shape.pattern = Some(value.as_str().ok_or_else(|| wrong("a string"))?.to_owned()),
            "format" => shape.format = Some(value.as_str().ok_or_else(|| wrong("a string"))?.to_owned()),
            "minLength" => shape.min_length = count(value).ok_or_else(|| wrong(COUNT))?,
            "maxLength" => shape.max_length = Some(count(value).ok_or_else(|| wrong(COUNT))?),
            "minItems" => shape.min_items = count(value).ok_or_else(|| wrong(COUNT))?,
            "maxItems" => shape.max_items = Some(count(value).ok_or_else(|| wrong(COUNT))?),
            "uniqueItems" => shape.unique_items = value.as_bool().ok_or_else(|| wrong("true or false"))?,
            "items" => shape.items = Some(Box::new(read(value, &below("items"))?)),
            "properties" => {
                let properties = value.as_object().ok_or_else(|| wrong("an object"))?;
                shape.properties = read_all(properties, &below("properties"))?;
            }
            "required" => shape.required = names(value).ok_or_else(|| wrong("a list of names"))?,
            "additionalProperties" => {
                shape.additional = match value {
                    Value::Bool(false) => Additional::None,
                    Value::Bool(true) => Additional::Any,
                    _ => Additional::Each(Box::new(read(value, &below(keyword))?)),
                }
            }
            name if ANNOTATIONS.contains(&name) || name.starts_with("x-") => {}
            _ => drop(shape.beyond.insert(keyword.clone(), value.clone())),
        }
    }
    Ok(shape)
}

const COUNT: &str = "a whole number from 0";

fn read_all(properties: &Map<String, Value>, pointer: &str) -> Result<BTreeMap<String, Shape>, InvalidSchema> {
    properties.iter().map(|(name, schema)| Ok((name.clone(), read(schema, &format!("{pointer}/{name}"))?))).collect()
}

fn kinds(value: &Value) -> Option<BTreeSet<Kind>> {
    let mut kinds: BTreeSet<_> = match value {
        Value::String(name) => [Kind::named(name)?].into(),
        Value::Array(names) => names.iter().map(|name| Kind::named(name.as_str()?)).collect::<Option<_>>()?,
        _ => return None,
    };
    // One that is within the other says nothing more.
    if kinds.contains(&Kind::Number) {
        kinds.remove(&Kind::Integer);
    }
    Some(kinds)
}

/// Whether a comparison can tell the number from its neighbours.
fn is_exact(number: &Value) -> bool {
    const EXACT: i64 = 1 << 53;
    number.is_f64() || number.as_i64().is_some_and(|whole| (-EXACT..=EXACT).contains(&whole))
}

fn count(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|count| usize::try_from(count).ok())
}

fn names(value: &Value) -> Option<BTreeSet<String>> {
    value.as_array()?.iter().map(|name| name.as_str().map(str::to_owned)).collect()
}

fn wrong(pointer: &str, keyword: &str, should_be: &'static str) -> InvalidSchema {
    InvalidSchema { pointer: pointer.to_owned(), keyword: keyword.to_owned(), should_be }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn annotations_make_no_difference() {
        let plain = json!({"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]});
        let told = json!({"type": "object", "title": "t", "x-classification": "open", "required": ["title"],
            "properties": {"title": {"type": ["string"], "description": "what it is called"}}});
        assert_eq!(Shape::read(&plain), Shape::read(&told));
    }

    #[test]
    fn a_shape_says_in_a_schema_what_it_read_in_one() {
        for entry in schemas::all_schemas() {
            let shape = Shape::read(&entry.json_schema()).unwrap();
            assert_eq!(Shape::read(&shape.to_schema()).unwrap(), shape, "{}", entry.title());
        }
    }

    #[test]
    fn a_keyword_that_is_not_judged_is_kept() {
        let shape = Shape::read(&json!({"anyOf": [true]})).unwrap();
        assert_eq!(shape.beyond["anyOf"], json!([true]));
        assert_ne!(shape, Shape::anything());
    }

    #[test]
    fn what_is_no_schema_is_refused_with_its_place() {
        let schema = json!({"properties": {"n": {"maxLength": -1}}});
        let error = Shape::read(&schema).unwrap_err();
        assert_eq!(error.to_string(), "`maxLength` at `/properties/n` should be a whole number from 0");
        assert!(Shape::read(&json!({"type": "text"})).is_err());
        assert!(Shape::read(&json!("string")).is_err());
    }

    #[test]
    fn an_integer_beside_a_number_says_nothing() {
        let both = Shape::read(&json!({"type": ["integer", "number"]})).unwrap();
        assert_eq!(both.kinds, [Kind::Number].into());
        assert!(both.allows_kind(Kind::Integer));
    }
}
