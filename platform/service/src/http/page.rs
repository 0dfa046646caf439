//! Pages of a list, each of which begins after the last of the one before: whatever is added or removed meanwhile, nothing
//! that stays is left out or shown twice.

use uuid::Uuid;

use crate::problem::{FieldError, Problem};

/// How many a page has where nobody says, and at the most.
const PAGE: u16 = 50;
const LONGEST_PAGE: u16 = 200;

/// The parameter `limit` of a page.
pub fn limit(asked: Option<u16>) -> Result<u16, Problem> {
    let limit = asked.unwrap_or(PAGE);
    if (1..=LONGEST_PAGE).contains(&limit) {
        Ok(limit)
    } else {
        let message = format!("should be a whole number from 1 to {LONGEST_PAGE}");
        Err(Problem::invalid_fields(vec![FieldError::new("limit", message)]))
    }
}

/// The next page starts after the last of a full one.
pub fn next<T>(items: &[T], limit: u16, id: impl Fn(&T) -> Uuid) -> Option<Uuid> {
    items.last().filter(|_| items.len() >= usize::from(limit)).map(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_from_one_to_two_hundred() {
        assert_eq!((limit(None), limit(Some(1)), limit(Some(200))), (Ok(50), Ok(1), Ok(200)));
        for wrong in [0, 201, u16::MAX] {
            let problem = limit(Some(wrong)).unwrap_err();
            assert!(format!("{problem:?}").contains("should be a whole number from 1 to 200"), "{problem:?}");
        }
    }

    #[test]
    fn only_a_full_page_may_have_a_next_one() {
        let ids = [Uuid::from_u128(3), Uuid::from_u128(2)];
        let next = |items, limit| next(items, limit, |id: &Uuid| *id);
        assert_eq!((next(&ids, 2), next(&ids, 3), next(&[], 1)), (Some(ids[1]), None, None));
    }
}
