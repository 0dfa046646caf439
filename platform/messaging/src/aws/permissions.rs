//! Which calls a process makes, as an IAM policy: those and no others.
//!
//! Calls that SNS and SQS can't limit to a topic or queue are allowed on `*`; of them, services make none. A publisher that
//! isn't told its account (`AWS_ACCOUNT_ID`) looks for its topics with `sns:ListTopics`, which is one of those: it has to
//! be allowed beside this.

use std::collections::BTreeSet;

use schemas::EventType;
use serde_json::{Value, json};

use super::resources::Place;
use crate::Names;

/// What a process does on the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Duty {
    /// Publishes these events.
    Publish(BTreeSet<EventType>),
    /// Is this consumer's worker.
    Consume(String),
    /// Looks at this consumer's dead letters and at what could not be delivered to it, and puts them back.
    Replay(String),
    /// Plans, applies, verifies and prunes the topology.
    Deploy,
}

struct Statement {
    sid: String,
    actions: &'static [&'static str],
    resources: Vec<String>,
}

/// The IAM policy of a process that has these duties.
pub fn policy_document(duties: &[Duty], names: &Names, place: &Place) -> Value {
    let statements = duties.iter().flat_map(|duty| duty.statements(names, place)).map(|statement| {
        let Statement { sid, actions, resources } = statement;
        json!({ "Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources })
    });
    json!({ "Version": "2012-10-17", "Statement": statements.collect::<Vec<_>>() })
}

impl Duty {
    fn statements(&self, names: &Names, place: &Place) -> Vec<Statement> {
        let statement = |sid: &str, about: &str, actions, resources| {
            let sid = format!("{sid}{}", camel(about));
            Statement { sid, actions, resources }
        };
        match self {
            Self::Publish(events) => {
                let topics = events.iter().map(|event| place.topic(&names.topic(event.as_str()))).collect();
                vec![statement("Publish", "", &["sns:Publish"], topics)]
            }
            Self::Consume(consumer) => {
                let (queue, dead_letters) = queues(consumer, names, place);
                let settle = &["sqs:ReceiveMessage", "sqs:ChangeMessageVisibility", "sqs:DeleteMessage"];
                let look = &["sqs:GetQueueUrl", "sqs:GetQueueAttributes"];
                vec![
                    statement("Find", consumer, look, vec![queue.clone(), dead_letters.clone()]),
                    statement("Consume", consumer, settle, vec![queue]),
                    statement("DeadLetter", consumer, &["sqs:SendMessage"], vec![dead_letters]),
                ]
            }
            Self::Replay(consumer) => {
                let (queue, dead_letters) = queues(consumer, names, place);
                let undelivered = place.queue(&names.undelivered_queue(consumer));
                let find = &["sqs:GetQueueUrl", "sqs:GetQueueAttributes"];
                let take = &["sqs:ReceiveMessage", "sqs:ChangeMessageVisibility", "sqs:DeleteMessage"];
                // StartMessageMoveTask asks for the right to take, too.
                let have_moved = &["sqs:StartMessageMoveTask", "sqs:ListMessageMoveTasks", "sqs:CancelMessageMoveTask"];
                let all = vec![queue.clone(), dead_letters.clone(), undelivered.clone()];
                vec![
                    statement("FindDead", consumer, find, all),
                    statement("TakeDead", consumer, take, vec![dead_letters.clone(), undelivered]),
                    statement("MoveDead", consumer, have_moved, vec![dead_letters.clone()]),
                    // To the dead letters: what is restored, or imported.
                    statement("PutBack", consumer, &["sqs:SendMessage"], vec![queue, dead_letters]),
                ]
            }
            Self::Deploy => {
                let own = format!("{}*", names.prefix());
                // These know no resource.
                let anywhere = &[
                    "sns:GetSubscriptionAttributes",
                    "sns:ListTopics",
                    "sns:SetSubscriptionAttributes",
                    "sns:Unsubscribe",
                    "sqs:ListQueues",
                ];
                let topics = &[
                    "sns:CreateTopic",
                    "sns:DeleteTopic",
                    "sns:ListSubscriptionsByTopic",
                    "sns:ListTagsForResource",
                    "sns:Subscribe",
                    "sns:TagResource",
                ];
                let queues = &[
                    "sqs:CreateQueue",
                    "sqs:DeleteQueue",
                    "sqs:GetQueueAttributes",
                    "sqs:GetQueueUrl",
                    "sqs:ListQueueTags",
                    "sqs:SetQueueAttributes",
                    "sqs:TagQueue",
                ];
                vec![
                    statement("Look", "", anywhere, vec!["*".to_owned()]),
                    statement("Topics", "", topics, vec![place.topic(&own)]),
                    statement("Queues", "", queues, vec![place.queue(&own)]),
                ]
            }
        }
    }
}

fn queues(consumer: &str, names: &Names, place: &Place) -> (String, String) {
    (place.queue(&names.queue(consumer)), place.queue(&names.dead_letter_queue(consumer)))
}

/// `user-service-dlq` is `UserServiceDlq`: where only letters and digits are allowed.
pub(super) fn camel(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric());
    let capitals = words.map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_uppercase() + rest
    });
    capitals.collect()
}
