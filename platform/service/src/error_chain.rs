use std::{error::Error, fmt};

/// Prints an error with all its sources on one line: for the one place that logs it.
///
/// Some libraries print the source in their own text as well; what was said already is not said again.
#[derive(Debug, Clone, Copy)]
pub struct ErrorChain<'a>(pub &'a (dyn Error + 'a));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut next = self.0.source();
        while let Some(error) = next {
            let text = error.to_string();
            if !said.ends_with(&text) {
                write!(f, ": {text}")?;
            }
            said = text;
            next = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Step {
        text: &'static str,
        source: Option<Box<Step>>,
    }

    #[test]
    fn a_source_that_was_printed_already_is_not_printed_again() {
        let step = |text, source: Option<Step>| Step { text, source: source.map(Box::new) };
        let error = step("registering", Some(step("database: gone", Some(step("gone", Some(step("os error", None)))))));
        assert_eq!(ErrorChain(&error).to_string(), "registering: database: gone: os error");
    }
}
