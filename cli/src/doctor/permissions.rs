//! What a worker has to be allowed, by what came of trying it.

use messaging::{Permission, Tried};

use super::{
    check::{Check, Finding, Severity::Error},
    queues::queue_named,
};
use crate::remedy::quoted;

/// `process`: whose policy it is.
pub fn judge(permissions: &[Permission], process: &str) -> Vec<Check> {
    permissions.iter().map(|permission| judge_one(permission, process)).collect()
}

fn judge_one(Permission { action, queue, tried }: &Permission, process: &str) -> Check {
    let (id, why) = match *action {
        "sqs:GetQueueUrl" => ("may-find", "a worker that can't find its queues does not start"),
        "sqs:GetQueueAttributes" => {
            ("may-look", "a worker looks at its queues when it starts, and measures its backlog")
        }
        "sqs:ReceiveMessage" => ("may-receive", "nothing would be received"),
        "sqs:ChangeMessageVisibility" => {
            ("may-extend", "leases would run out while handlers work, and events be handled again and again")
        }
        "sqs:DeleteMessage" => ("may-delete", "what was applied would come again until it dies as a dead letter"),
        "sqs:SendMessage" => ("may-dead-letter", "what can't be applied would stay in the worker's hands"),
        _ => ("may-call", "a worker makes this call"),
    };
    let about = queue_named(queue);
    match tried {
        Tried::Allowed => Check::ok(id, about),
        Tried::Untried(why) => Check::left_out(id, about, format!("{action} is not tried: {why}")),
        Tried::Unclear { code } => Check::untried(id, about, format!("{action} was answered with {code}")),
        Tried::Denied { code } => {
            let remedy = format!("waypost topology policies {}", quoted_if_needed(process));
            let found = format!("{action} is refused: {code}");
            let should_be = format!("allowed, as in the policy of {process}; these credentials have to be its own");
            Check::found(Error, id, about, Finding::new(found, should_be, why, remedy))
        }
    }
}

fn quoted_if_needed(word: &str) -> String {
    let is_plain = word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if is_plain { word.to_owned() } else { quoted(word) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_call_is_an_error_with_the_policy_and_an_untried_one_is_said_to_be() {
        let permission = |action, tried| Permission { action, queue: "reader".to_owned(), tried };
        let code = "AccessDenied".to_owned();
        let permissions = [
            permission("sqs:GetQueueUrl", Tried::Allowed),
            permission("sqs:DeleteMessage", Tried::Denied { code: code.clone() }),
            permission("sqs:ReceiveMessage", Tried::Untried("it would hide messages")),
            permission("sqs:GetQueueAttributes", Tried::Unclear { code: "InternalFailure".to_owned() }),
        ];
        let checks = judge(&permissions, "user-worker");
        assert_eq!(checks[0], Check::ok("may-find", "queue reader"));
        let (severity, finding) = checks[1].finding().unwrap();
        assert_eq!((checks[1].id, severity), ("may-delete", Error));
        assert_eq!(finding.found, "sqs:DeleteMessage is refused: AccessDenied");
        assert_eq!(finding.remedy, "waypost topology policies user-worker");
        let why = "sqs:ReceiveMessage is not tried: it would hide messages";
        assert_eq!(checks[2], Check::left_out("may-receive", "queue reader", why));
        assert!(checks[3].finding().is_none());
    }
}
