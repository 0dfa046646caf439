//! From a batch's answer (two lists, keyed by entry id) to one result per entry, at its position.

use crate::EntryError;

/// Entry ids are positions: message ids would collide where one message was received twice.
pub(super) fn entry_id(position: usize) -> String {
    position.to_string()
}

/// An entry that the answer doesn't mention has not succeeded.
pub(super) fn positional<T>(
    entries: usize,
    successful: impl Iterator<Item = (String, T)>,
    failed: impl Iterator<Item = (String, EntryError)>,
) -> Vec<Result<T, EntryError>> {
    let unanswered = || Err(EntryError::unavailable("NoAnswer", "the batch's answer does not mention the entry"));
    let mut results: Vec<_> = std::iter::repeat_with(unanswered).take(entries).collect();
    let all = successful.map(|(id, value)| (id, Ok(value))).chain(failed.map(|(id, error)| (id, Err(error))));
    for (id, result) in all {
        if let Some(slot) = id.parse::<usize>().ok().and_then(|position| results.get_mut(position)) {
            *slot = result;
        }
    }
    results
}

/// The same failure for every entry of a request.
pub(super) fn all_failed<T>(entries: usize, error: &EntryError) -> Vec<Result<T, EntryError>> {
    std::iter::repeat_with(|| Err(error.clone())).take(entries).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_gets_its_own_result_and_silence_is_failure() {
        let refused = EntryError::refused("Bad", "no");
        let results = positional(
            3,
            [("2".to_owned(), "c"), ("9".to_owned(), "x")].into_iter(),
            [("0".to_owned(), refused.clone())].into_iter(),
        );
        assert_eq!(results[0], Err(refused));
        assert!(matches!(&results[1], Err(EntryError::Unavailable { code, .. }) if code == "NoAnswer"));
        assert_eq!(results[2], Ok("c"));
    }
}
