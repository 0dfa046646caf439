//! What a check says.

use serde::Serialize;

/// One thing that was looked at, and what came of it. `id` and `about` together name it, and stay what they are from
/// release to release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    pub id: &'static str,
    /// `queue user-service`.
    pub about: String,
    #[serde(flatten)]
    pub outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    Ok,
    /// Worth knowing, and neither right nor wrong.
    Info {
        found: String,
    },
    /// It could not be looked at.
    Untried {
        why: String,
        /// Not for want of a permission or an answer: it would do something.
        #[serde(skip)]
        by_choice: bool,
    },
    /// It works, until something else goes wrong.
    Warning(Finding),
    /// Events are lost, stuck or repeated, or the worker does not run.
    Error(Finding),
}

/// Nothing of it may hold a secret: URLs of databases stay out, and those of queues lose whoever is named in them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub found: String,
    pub should_be: String,
    pub why: String,
    /// A command that can be pasted into a shell.
    pub remedy: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Warning,
    Error,
}

impl Check {
    pub fn ok(id: &'static str, about: impl Into<String>) -> Self {
        Self { id, about: about.into(), outcome: Outcome::Ok }
    }

    pub fn info(id: &'static str, about: impl Into<String>, found: impl Into<String>) -> Self {
        Self { id, about: about.into(), outcome: Outcome::Info { found: found.into() } }
    }

    pub fn untried(id: &'static str, about: impl Into<String>, why: impl Into<String>) -> Self {
        Self { id, about: about.into(), outcome: Outcome::Untried { why: why.into(), by_choice: false } }
    }

    /// Making it would do something.
    pub fn left_out(id: &'static str, about: impl Into<String>, why: impl Into<String>) -> Self {
        Self { id, about: about.into(), outcome: Outcome::Untried { why: why.into(), by_choice: true } }
    }

    pub fn found(severity: Severity, id: &'static str, about: impl Into<String>, finding: Finding) -> Self {
        let outcome = match severity {
            Severity::Warning => Outcome::Warning(finding),
            Severity::Error => Outcome::Error(finding),
        };
        Self { id, about: about.into(), outcome }
    }

    pub fn finding(&self) -> Option<(Severity, &Finding)> {
        match &self.outcome {
            Outcome::Warning(finding) => Some((Severity::Warning, finding)),
            Outcome::Error(finding) => Some((Severity::Error, finding)),
            Outcome::Ok | Outcome::Info { .. } | Outcome::Untried { .. } => None,
        }
    }

    /// Whether something kept it from being made, rather than that making it would do something.
    pub fn is_in_the_way(&self) -> bool {
        matches!(self.outcome, Outcome::Untried { by_choice: false, .. })
    }

    fn is_same(&self, other: &Self) -> bool {
        self.id == other.id && self.about == other.about
    }
}

impl Finding {
    pub fn new(
        found: impl Into<String>,
        should_be: impl Into<String>,
        why: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { found: found.into(), should_be: should_be.into(), why: why.into(), remedy: remedy.into() }
    }
}

/// Joins what two ways of looking say. Of the same check the first finding stands: who knows what a worker needs says
/// more of it than a comparison does.
pub fn join(mut known: Vec<Check>, more: Vec<Check>) -> Vec<Check> {
    for check in more {
        match known.iter_mut().find(|known| known.is_same(&check)) {
            Some(known) if known.finding().is_some() => {}
            Some(known) if check.finding().is_some() || known.is_in_the_way() => *known = check,
            Some(_) => {}
            None => known.push(check),
        }
    }
    known
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// The finding of a check, where it has one.
    pub fn found<'a>(checks: &'a [Check], id: &str) -> Option<(Severity, &'a Finding)> {
        let mut named = checks.iter().filter(|check| check.id == id).peekable();
        assert!(named.peek().is_some(), "{id} was not looked at: {checks:#?}");
        named.find_map(Check::finding)
    }

    #[test]
    fn of_the_same_check_a_finding_stands_and_the_first_of_two() {
        let finding = |found: &str| Finding::new(found, "s", "w", "r");
        let bad = |found: &str| Check::found(Severity::Error, "a", "q", finding(found));
        assert_eq!(join(vec![Check::ok("a", "q")], vec![bad("1")]), [bad("1")]);
        assert_eq!(join(vec![bad("1")], vec![bad("2"), Check::ok("a", "q")]), [bad("1")]);
        assert_eq!(join(vec![Check::untried("a", "q", "?")], vec![Check::ok("a", "q")]), [Check::ok("a", "q")]);
        let other = Check::ok("a", "another queue");
        assert_eq!(join(vec![bad("1")], vec![other.clone()]), [bad("1"), other]);
    }

    #[test]
    fn a_check_is_one_flat_object() {
        let check = Check::found(Severity::Warning, "a", "q", Finding::new("f", "s", "w", "r"));
        let expected = serde_json::json!({
            "id": "a", "about": "q", "outcome": "warning", "found": "f", "should_be": "s", "why": "w", "remedy": "r",
        });
        assert_eq!(serde_json::to_value(check).unwrap(), expected);
        let expected = serde_json::json!({ "id": "a", "about": "q", "outcome": "ok" });
        assert_eq!(serde_json::to_value(Check::ok("a", "q")).unwrap(), expected);
    }
}
