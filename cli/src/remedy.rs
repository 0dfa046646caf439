//! Commands that mend.

use messaging::QueueFacts;
use url::Url;

/// Sets what the topology says, and makes what is missing.
pub const APPLY: &str = "waypost topology apply";

/// What commands have to name to reach this bus.
#[derive(Debug, Clone, Default)]
pub struct Remedies {
    /// LocalStack's; `None` is AWS, which `aws` finds by itself.
    pub endpoint: Option<String>,
}

impl Remedies {
    /// Applying a topology sets what it names, and takes nothing away.
    pub fn without_redrive(&self, facts: &QueueFacts) -> String {
        // The bus in PostgreSQL names it.
        let Some(url) = &facts.url else { return APPLY.to_owned() };
        let url = quoted(&without_login(url));
        let attributes = r#"'{"RedrivePolicy":""}'"#;
        format!("{} sqs set-queue-attributes --queue-url {url} --attributes {attributes}", self.aws())
    }

    /// Shows whether anybody answers, and whom.
    pub fn knock(&self) -> String {
        format!("{} sqs list-queues --max-results 1", self.aws())
    }

    fn aws(&self) -> String {
        match &self.endpoint {
            Some(endpoint) => format!("aws --endpoint-url {}", quoted(&without_login(endpoint))),
            None => "aws".to_owned(),
        }
    }
}

/// A URL without name and password. What can't be read as one is not shown.
fn without_login(url: &str) -> String {
    let Ok(mut shown) = Url::parse(url) else { return "URL".to_owned() };
    let had = !shown.username().is_empty() || shown.password().is_some();
    let cleared = shown.set_username("").is_ok() && shown.set_password(None).is_ok();
    match (had, cleared) {
        (false, _) => url.to_owned(),
        (true, true) => shown.to_string(),
        (true, false) => "URL".to_owned(),
    }
}

/// As one word of a shell.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_left_out_and_a_word_stays_one_word() {
        assert_eq!(without_login("http://ada:hunter2@127.0.0.1:4566/x"), "http://127.0.0.1:4566/x");
        assert_eq!(without_login("http://127.0.0.1:4566"), "http://127.0.0.1:4566");
        assert_eq!(without_login("ada:hunter2@x"), "ada:hunter2@x".parse::<Url>().map_or("URL", |_| "ada:hunter2@x"));
        assert_eq!(quoted("it's"), r"'it'\''s'");
        let remedies = Remedies { endpoint: Some("http://ada:hunter2@127.0.0.1:4566".to_owned()) };
        assert_eq!(remedies.knock(), "aws --endpoint-url 'http://127.0.0.1:4566/' sqs list-queues --max-results 1");
    }
}
