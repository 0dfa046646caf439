//! A payload's fields as rows of a table.

use serde_json::Value;

/// A field, at any depth.
pub struct PayloadField {
    /// JSON pointer into the payload.
    pub pointer: String,
    /// What it may hold, in words, with patterns and values in backticks.
    pub holds: String,
    pub required: bool,
    /// From `x-classification`; an object has none of its own, only its parts have.
    pub class: Option<String>,
    pub description: String,
}

/// In the order of the pointers, objects before their parts.
pub fn payload_fields(schema: &Value) -> Vec<PayloadField> {
    let mut all = Vec::new();
    add(&mut all, "", schema);
    all
}

fn add(all: &mut Vec<PayloadField>, path: &str, schema: &Value) {
    let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let pointer = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
        let class = field.get("x-classification").or_else(|| field.pointer("/items/x-classification"));
        all.push(PayloadField {
            pointer: pointer.clone(),
            holds: holds(field),
            required: required.iter().any(|each| each == name),
            class: class.and_then(Value::as_str).map(str::to_owned),
            description: field["description"].as_str().unwrap_or_default().to_owned(),
        });
        add(all, &pointer, field);
    }
}

fn holds(schema: &Value) -> String {
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<_> =
            words.iter().map(|word| format!("`{}`", word.as_str().unwrap_or(&word.to_string()))).collect();
        return words.join(", ");
    }
    let number = |keyword: &str| schema[keyword].as_u64();
    let mut parts = vec![match schema["type"].as_str() {
        Some("array") => format!("list of: {}", holds(&schema["items"])),
        Some(kind) => kind.to_owned(),
        None => "anything".to_owned(),
    }];
    match (number("minimum"), number("maximum")) {
        (Some(least), Some(most)) => parts.push(format!("{least} to {most}")),
        (Some(least), None) => parts.push(format!("at least {least}")),
        (None, Some(most)) => parts.push(format!("at most {most}")),
        (None, None) => {}
    }
    // A format says what its pattern says, in a word.
    match (schema["format"].as_str(), schema["pattern"].as_str()) {
        (Some(format), _) => parts.push(format.to_owned()),
        (None, Some(pattern)) => parts.push(format!("`{pattern}`")),
        (None, None) => {}
    }
    parts.extend(number("maxLength").map(|most| format!("at most {most} characters")));
    parts.extend(number("maxItems").map(|most| format!("at most {most} of them")));
    parts.extend((schema["uniqueItems"] == true).then(|| "no two alike".to_owned()));
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_told_with_their_bounds_at_any_depth() {
        let schema = json!({"required": ["price"], "properties": {
            "price": {"type": "object", "description": "P.", "required": ["amount"], "properties": {
                "amount": {"type": "integer", "minimum": 0, "maximum": 9, "x-classification": "open"}}},
            "tags": {"type": "array", "maxItems": 3, "uniqueItems": true,
                "items": {"type": "string", "pattern": "^a|b$", "x-classification": "pii"}},
            "status": {"enum": ["on", "off"]}}});
        let rows: Vec<_> = payload_fields(&schema)
            .into_iter()
            .map(|field| (field.pointer, field.holds, field.required, field.class.unwrap_or_default()))
            .collect();
        let row = |pointer: &str, holds: &str, required, class: &str| {
            (pointer.to_owned(), holds.to_owned(), required, class.to_owned())
        };
        let tags = "list of: string, `^a|b$`, at most 3 of them, no two alike";
        assert_eq!(
            rows,
            [
                row("/price", "object", true, ""),
                row("/price/amount", "integer, 0 to 9", true, "open"),
                row("/status", "`on`, `off`", false, ""),
                row("/tags", tags, false, "pii"),
            ]
        );
    }
}
