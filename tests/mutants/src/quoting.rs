use std::error::Error;

/// The error with its causes, as it reaches logs and `event_failures`.
pub fn told(error: &(dyn Error + 'static)) -> String {
    let mut told = format!("{error:?}");
    let mut next = Some(error);
    while let Some(error) = next {
        told = format!("{told}: {error}");
        next = error.source();
    }
    told
}

/// Eight characters of what is personal or secret that `text` quotes.
pub fn quoted(guarded: &[String], text: &str) -> Option<String> {
    guarded.iter().find_map(|guarded| {
        let letters: Vec<_> = guarded.chars().collect();
        let pieces = letters.windows(8.min(letters.len().max(1))).map(|piece| piece.iter().collect::<String>());
        pieces.into_iter().find(|piece| text.contains(piece))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quotation_is_found_and_what_only_looks_like_it_is_not() {
        let guarded = ["alice@example.com".to_owned()];
        assert_eq!(quoted(&guarded, "`alice@exam` is no address").as_deref(), Some("alice@ex"));
        assert_eq!(quoted(&guarded, "an alice, expected an example"), None);
    }
}
