//! Reading JSON that somebody else wrote, with errors that are safe to store.
//!
//! Serde's messages quote the value they stumbled over (`invalid type: string "ada@…"`), and an error travels further
//! than a payload may: to logs, to `event_failures`, into the attribute of a dead letter. So what is kept of an error is
//! the field, the place, and what was expected there; never what was found.

use serde::de::DeserializeOwned;

/// JSON that is not what it should be. Its text never holds a value from the document.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{}{what} (line {line}, column {column})", field.as_ref().map_or_else(String::new, |f| format!("`{f}`: ")))]
pub struct UnreadableJson {
    pub field: Option<String>,
    pub what: String,
    pub line: usize,
    pub column: usize,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PayloadError {
    #[error("version {version} of `{event_type}` is not known here; known: {known}")]
    UnknownVersion { event_type: &'static str, version: u32, known: String },
    #[error("the payload breaks its schema")]
    Unreadable(#[from] UnreadableJson),
}

/// Reads `text`; where that fails, reads it once more to say where. Keeping track of the place costs about as much as reading
/// does, and nearly every document is as it should be.
pub fn json<T: DeserializeOwned>(text: &str, parent: Option<&str>) -> Result<T, UnreadableJson> {
    serde_json::from_str(text).or_else(|_| json_with_place(text, parent))
}

fn json_with_place<T: DeserializeOwned>(text: &str, parent: Option<&str>) -> Result<T, UnreadableJson> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        // What breaks the syntax may stand below a name that is the document's own; what is of the wrong type stands
        // below names that the type knows.
        let path = error.inner().is_data().then(|| error.path().to_string());
        let path = path.filter(|path| path != "." && !path.contains('?'));
        let field = match (parent, path) {
            (Some(parent), Some(path)) => Some(format!("{parent}.{path}")),
            (parent, path) => path.or(parent.map(str::to_owned)),
        };
        unreadable(field, error.inner())
    })?;
    deserializer.end().map_err(|error| unreadable(None, &error))?;
    Ok(read)
}

fn unreadable(field: Option<String>, error: &serde_json::Error) -> UnreadableJson {
    use serde_json::error::Category;
    let what = match error.classify() {
        Category::Syntax | Category::Io => "not valid JSON".to_owned(),
        Category::Eof => "the JSON ends too early".to_owned(),
        Category::Data => expectation(&error.to_string()),
    };
    UnreadableJson { field, what, line: error.line(), column: error.column() }
}

/// What a serde message says was expected. Only `missing field` and the part after `expected` are written by the type;
/// the rest may quote the document.
fn expectation(message: &str) -> String {
    let message = message.rsplit_once(" at line ").map_or(message, |(text, _)| text);
    if message.starts_with("missing field") {
        return message.to_owned();
    }
    match message.rsplit_once(", expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None => "not a valid value".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use uuid::Uuid;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "read, not used")]
    struct Person {
        id: Uuid,
        email: String,
    }

    fn error(text: &str) -> String {
        json::<Person>(text, Some("data")).unwrap_err().to_string()
    }

    #[test]
    fn an_error_names_the_field_and_never_its_value() {
        let id = "019ab6a1-0000-7000-8000-000000000000";
        for (text, want) in [
            (format!(r#"{{"id":"{id}"}}"#), "`data`: missing field `email` (line 1, column 45)"),
            (format!(r#"{{"id":"{id}","email":5551234}}"#), "`data.email`: expected a string (line 1, column 60)"),
            (r#"{"id":"ada@example.com","email":""}"#.to_owned(), "`data.id`: not a valid value (line 1, column 23)"),
            (r#"{"id":"#.to_owned(), "`data`: the JSON ends too early (line 1, column 6)"),
            (r#"{"ada@example.com":"#.to_owned(), "`data`: the JSON ends too early (line 1, column 19)"),
            (r#"{"ada@example.com":!}"#.to_owned(), "`data`: not valid JSON (line 1, column 20)"),
            ("ada@example.com".to_owned(), "`data`: not valid JSON (line 1, column 1)"),
        ] {
            let got = error(&text);
            assert_eq!(got, want);
        }
    }
}
