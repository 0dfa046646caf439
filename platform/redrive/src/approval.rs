//! The token without which nothing is changed.

/// Somebody said to do it (`--execute`, or a command that can't mean anything else), and why. Everything that sends, deletes or archives takes one, and there is no other way to
/// have one than [`Approval::given`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    actor: String,
    reason: String,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("--reason is missing: what is done to dead letters is put on record with why it was done")]
pub struct NoReason;

impl Approval {
    /// `None` where nobody said `execute`; an error where nobody said why.
    pub fn given(execute: bool, actor: &str, reason: Option<&str>) -> Result<Option<Self>, NoReason> {
        if !execute {
            return Ok(None);
        }
        match reason.map(str::trim) {
            Some(reason) if !reason.is_empty() => Ok(Some(Self { actor: actor.to_owned(), reason: reason.to_owned() })),
            _ => Err(NoReason),
        }
    }

    pub fn actor(&self) -> &str {
        &self.actor
    }

    pub fn reason(&self) -> &str {
        &self.reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_approval_without_a_reason_and_none_without_execute() {
        assert_eq!(Approval::given(false, "ada", Some("why")), Ok(None));
        for reason in [None, Some(""), Some("  ")] {
            assert_eq!(Approval::given(true, "ada", reason), Err(NoReason));
        }
        assert_eq!(Approval::given(true, "ada", Some(" it is mended ")).unwrap().unwrap().reason(), "it is mended");
    }
}
