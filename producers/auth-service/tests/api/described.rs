//! The API's description, as what every answer is held against.

use std::collections::BTreeMap;

use serde_json::{Value, json};

pub struct Description {
    document: Value,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The kind of a problem: the last part of its `type`.
    pub fn problem(&self) -> String {
        let body = self.json();
        body["type"].as_str().unwrap().rsplit(':').next().unwrap().to_owned()
    }

    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }
}

impl Description {
    pub fn of(document: Value) -> Self {
        Self { document }
    }

    pub fn document(&self) -> &Value {
        &self.document
    }

    /// Panics where an answer is not what the description says of it.
    pub fn check(&self, method: &str, path: &str, answer: &Answer) {
        let Some((template, operation)) = self.operation(method, path) else {
            assert!(matches!(answer.status, 404 | 405), "{method} {path} is not described: {answer:?}");
            return;
        };
        let at = format!("{method} {template} {}", answer.status);
        let response = &operation["responses"][answer.status.to_string()];
        assert!(response.is_object(), "{at} is not described: {}", answer.text);
        for name in response["headers"].as_object().into_iter().flatten().map(|(name, _)| name) {
            assert!(answer.headers.contains_key(name), "{at} has no header `{name}`: {answer:?}");
        }
        for name in ["retry-after", "www-authenticate", "cache-control", "allow"] {
            let (sent, told) = (answer.headers.contains_key(name), response["headers"][name].is_object());
            assert!(!sent || told, "{at} has the header `{name}`, which is not described");
        }
        match answer.header("content-type") {
            None => {
                assert!(response["content"].is_null(), "{at} has no body: {response}");
                assert_eq!(answer.text, "", "{at}");
            }
            Some(media) => {
                let content = &response["content"][media];
                assert!(content.is_object(), "{at} is {media}, which is not described");
                self.check_body(&at, &content["schema"], &answer.json());
                if media == "application/problem+json" {
                    let kind = &answer.json()["type"];
                    let mut told = content["examples"].as_object().unwrap().values();
                    assert!(told.any(|example| example["value"]["type"] == *kind), "{at}: {kind} is not described");
                }
            }
        }
    }

    fn operation(&self, method: &str, path: &str) -> Option<(&str, &Value)> {
        let path = path.split('?').next().unwrap();
        let fits = |template: &str| {
            let (mut theirs, mut ours) = (template.split('/'), path.split('/'));
            let each = theirs.by_ref().zip(ours.by_ref()).all(|(t, o)| t == o || t.starts_with('{'));
            each && template.split('/').count() == path.split('/').count()
        };
        let paths = self.document["paths"].as_object().unwrap();
        let (template, item) = paths.iter().find(|(template, _)| fits(template))?;
        Some((template.as_str(), item.get(method.to_lowercase())?))
    }

    pub fn check_body(&self, at: &str, schema: &Value, body: &Value) {
        let mut whole = json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "allOf": [schema]});
        whole["components"] = self.document["components"].clone();
        let validator = jsonschema::validator_for(&whole).unwrap_or_else(|error| panic!("{at}: {error}"));
        if let Err(error) = validator.validate(body) {
            panic!("{at}: {error}: {body}");
        }
    }
}
