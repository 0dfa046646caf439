//! Front matter: YAML in the order in which it is read best, every text quoted as JSON quotes it.

use std::fmt::{self, Write as _};

use serde_json::Value;

pub enum Yaml {
    Text(String),
    List(Vec<Yaml>),
    Map(Vec<(&'static str, Yaml)>),
}

impl From<&str> for Yaml {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Yaml {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl<const N: usize> From<[(&'static str, Yaml); N]> for Yaml {
    fn from(fields: [(&'static str, Yaml); N]) -> Self {
        Self::Map(fields.into())
    }
}

impl FromIterator<Yaml> for Yaml {
    fn from_iter<I: IntoIterator<Item = Yaml>>(items: I) -> Self {
        Self::List(items.into_iter().collect())
    }
}

/// The whole block, with its fences. Fields without a value are left out.
pub fn block(fields: impl IntoIterator<Item = (&'static str, Option<Yaml>)>) -> String {
    let mut text = "---\n".to_owned();
    for (name, value) in fields {
        if let Some(value) = value {
            field(&mut text, 0, name, &value).expect("writing to a String never fails");
        }
    }
    text + "---\n"
}

fn field(text: &mut String, depth: usize, name: &str, value: &Yaml) -> fmt::Result {
    write!(text, "{}{name}:", "  ".repeat(depth))?;
    match value {
        Yaml::List(items) if items.is_empty() => writeln!(text, " []"),
        Yaml::List(_) | Yaml::Map(_) => {
            text.push('\n');
            nested(text, depth + 1, value)
        }
        Yaml::Text(_) => {
            text.push(' ');
            nested(text, 0, value)
        }
    }
}

fn nested(text: &mut String, depth: usize, value: &Yaml) -> fmt::Result {
    match value {
        Yaml::Text(value) => writeln!(text, "{}", Value::from(value.as_str())),
        Yaml::Map(fields) => fields.iter().try_for_each(|(name, value)| field(text, depth, name, value)),
        Yaml::List(items) => items.iter().try_for_each(|item| {
            let mut one = String::new();
            nested(&mut one, depth + 1, item)?;
            writeln!(text, "{}- {}", "  ".repeat(depth), one.trim())
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let sends: Yaml = [Yaml::from([
            ("id", "a.b".into()),
            ("fields", ["x", "y: #z"].map(Yaml::from).into_iter().collect()),
            ("to", [Yaml::from([("id", "t \"q\"".into())])].into_iter().collect()),
        ])]
        .into_iter()
        .collect();
        let none = std::iter::empty().collect();
        let text = block([
            ("id", Some("yes".into())),
            ("gone", None),
            ("sends", Some(sends)),
            ("none", Some(none)),
            ("draft", Some("true".into())),
        ]);
        let yaml = text.trim_matches(|c| c == '-' || c == '\n');
        let back: Value = serde_saphyr::from_str(yaml).unwrap();
        let sends = json!([{"id": "a.b", "fields": ["x", "y: #z"], "to": [{"id": "t \"q\""}]}]);
        assert_eq!(back, json!({"id": "yes", "sends": sends, "none": [], "draft": "true"}), "{text}");
    }
}
