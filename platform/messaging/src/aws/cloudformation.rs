//! A topology as a template of `CloudFormation`, with the services' policies and the alarms that belong to it.
//!
//! It walks the list that everything else walks, for an account, a region and a prefix that are the template's own
//! placeholders. So what a stack makes is what `topology verify` expects. The order of making follows from references; what
//! would close a circle (a dead-letter queue that names its source) is written as an ARN instead.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    alarms::alarms,
    permissions::{Duty, camel, policy_document},
    resources::{Place, Resource, resources, tags},
};
use crate::{Names, Topology};

/// `topology` with a policy for each of `policies`, which are called after whom they are for. The prefix is a parameter
/// of the template, and that of `names` its default.
pub fn cloudformation_template(topology: &Topology, names: &Names, policies: &BTreeMap<String, Vec<Duty>>) -> Value {
    let (place, placeholder) = (placeholders(), Names::with_prefix("${NamePrefix}"));
    let list = resources(topology, &placeholder, &place);
    let references = References::to(&list, &place);

    let mut made = Map::new();
    for resource in &list {
        made.extend(references.template(resource, &placeholder));
    }
    made.extend(alarms(topology, &placeholder).into_iter().map(|(id, alarm)| (id, references.resolve(alarm))));
    let mut outputs = Map::new();
    for (who, duties) in policies {
        let (id, document) = (format!("Policy{}", camel(who)), policy_document(duties, &placeholder, &place));
        outputs.insert(id.clone(), json!({ "Value": { "Ref": id } }));
        let description = format!("What {who} may do with topics and queues");
        let properties = json!({ "Description": description, "PolicyDocument": references.resolve(document) });
        made.insert(id, json!({ "Type": "AWS::IAM::ManagedPolicy", "Properties": properties }));
    }
    json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Topics and queues. Written by `waypost topology export --format cloudformation`: \
                        change the handlers, not this file.",
        "Parameters": {
            "NamePrefix": {
                "Type": "String",
                "Default": names.prefix(),
                "AllowedPattern": "[a-z0-9_-]{0,30}",
                "Description": "Goes before every name, as WAYPOST_NAME_PREFIX"
            },
            "AlarmTopicArn": {
                "Type": "String",
                "Default": "",
                "Description": "The SNS topic that alarms are sent to; none: alarms change state and tell nobody"
            },
            "OldestMessageSeconds": {
                "Type": "Number",
                "Default": 600,
                "MinValue": 60,
                "Description": "How old a queue's oldest message may be"
            }
        },
        "Conditions": {
            "HasAlarmTopic": { "Fn::Not": [{ "Fn::Equals": [{ "Ref": "AlarmTopicArn" }, ""] }] }
        },
        "Resources": made,
        "Outputs": outputs
    })
}

fn placeholders() -> Place {
    let [partition, region, account] = ["${AWS::Partition}", "${AWS::Region}", "${AWS::AccountId}"].map(str::to_owned);
    Place { partition, region, account }
}

/// Logical ids by ARN.
struct References(BTreeMap<String, Value>);

impl References {
    fn to(list: &[Resource], place: &Place) -> Self {
        let reference = |resource: &Resource| match resource {
            Resource::Topic { name } => Some((place.topic(name), json!({ "Ref": logical_id("Topic", name) }))),
            Resource::Queue { name, .. } => {
                Some((place.queue(name), json!({ "Fn::GetAtt": [logical_id("Queue", name), "Arn"] })))
            }
            Resource::Subscription { .. } => None,
        };
        Self(list.iter().filter_map(reference).collect())
    }

    fn template(&self, resource: &Resource, names: &Names) -> Vec<(String, Value)> {
        let tags: Vec<_> =
            tags(names).into_iter().map(|(key, value)| json!({ "Key": key, "Value": sub(value) })).collect();
        match resource {
            Resource::Topic { name } => {
                let properties = json!({ "TopicName": sub(name.clone()), "Tags": tags });
                vec![(logical_id("Topic", name), json!({ "Type": "AWS::SNS::Topic", "Properties": properties }))]
            }
            Resource::Queue { name, attributes } => {
                let mut properties = Map::from_iter([
                    ("QueueName".to_owned(), sub(name.clone())),
                    ("Tags".to_owned(), Value::from(tags)),
                ]);
                let id = logical_id("Queue", name);
                let mut policy = None;
                for (attribute, text) in attributes {
                    let value = parsed(text);
                    match attribute.as_str() {
                        "Policy" => {
                            let properties = json!({
                                "Queues": [{ "Ref": id }],
                                "PolicyDocument": self.resolve(value),
                            });
                            policy = Some(json!({ "Type": "AWS::SQS::QueuePolicy", "Properties": properties }));
                        }
                        // Of the queue that has this one as its dead-letter queue.
                        "RedriveAllowPolicy" => drop(properties.insert(attribute.to_string(), substituted(value))),
                        _ => drop(properties.insert(attribute.to_string(), self.resolve(value))),
                    }
                }
                // A consumer that is gone leaves its messages: `topology apply --prune` removes what holds none.
                let queue = json!({
                    "Type": "AWS::SQS::Queue",
                    "DeletionPolicy": "Retain",
                    "UpdateReplacePolicy": "Retain",
                    "Properties": properties,
                });
                let policy = policy.map(|policy| (logical_id("QueuePolicy", name), policy));
                [Some((id, queue)), policy].into_iter().flatten().collect()
            }
            Resource::Subscription { topic, queue, attributes } => {
                let mut properties = Map::from_iter([
                    ("Protocol".to_owned(), json!("sqs")),
                    ("TopicArn".to_owned(), json!({ "Ref": logical_id("Topic", topic) })),
                    ("Endpoint".to_owned(), json!({ "Fn::GetAtt": [logical_id("Queue", queue), "Arn"] })),
                ]);
                let own = attributes.iter().map(|(name, text)| ((*name).to_owned(), self.resolve(parsed(text))));
                properties.extend(own);
                let id = format!("{}To{}", logical_id("Subscription", topic), camel(plain(queue)));
                vec![(id, json!({ "Type": "AWS::SNS::Subscription", "Properties": properties }))]
            }
        }
    }

    /// References in place of ARNs of what is in the template, substitutions in place of other placeholders.
    fn resolve(&self, value: Value) -> Value {
        map_strings(value, &|text| self.0.get(&text).cloned().unwrap_or_else(|| sub(text)))
    }
}

fn substituted(value: Value) -> Value {
    map_strings(value, &sub)
}

fn map_strings(value: Value, map: &impl Fn(String) -> Value) -> Value {
    match value {
        // These are references and substitutions already.
        Value::Object(fields) if fields.keys().any(|name| name.starts_with("Fn::") || name == "Ref") => {
            Value::Object(fields)
        }
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, map_strings(value, map))).collect(),
        Value::Array(items) => items.into_iter().map(|item| map_strings(item, map)).collect(),
        Value::String(text) => map(text),
        other => other,
    }
}

fn sub(text: String) -> Value {
    if text.contains("${") { json!({ "Fn::Sub": text }) } else { Value::from(text) }
}

/// SQS has its attributes as text; a template has numbers, booleans and objects.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

fn logical_id(kind: &str, name: &str) -> String {
    format!("{kind}{}", camel(plain(name)))
}

fn plain(name: &str) -> &str {
    name.strip_prefix("${NamePrefix}").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{QueueSettings, Subscriber};

    #[test]
    fn an_arn_in_the_template_is_a_reference_except_where_that_closes_a_circle() {
        let event = schemas::EventType::new("test.happened");
        let subscriber =
            Subscriber { consumer: "reader".to_owned(), events: [event].into(), settings: QueueSettings::DEFAULT };
        let topology = Topology { subscribers: vec![subscriber], ..Topology::default() };
        let template = cloudformation_template(&topology, &Names::with_prefix("dev-"), &BTreeMap::new());
        let resources = &template["Resources"];
        assert_eq!(template["Parameters"]["NamePrefix"]["Default"], "dev-");
        assert_eq!(
            resources["QueueReader"]["Properties"]["RedrivePolicy"],
            json!({ "deadLetterTargetArn": { "Fn::GetAtt": ["QueueReaderDlq", "Arn"] }, "maxReceiveCount": 20 })
        );
        let sources = &resources["QueueReaderDlq"]["Properties"]["RedriveAllowPolicy"]["sourceQueueArns"];
        let source = "arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:${NamePrefix}reader";
        assert_eq!(sources, &json!([{ "Fn::Sub": source }]));
        let condition = &resources["QueuePolicyReader"]["Properties"]["PolicyDocument"]["Statement"][0]["Condition"];
        assert_eq!(condition, &json!({ "ArnEquals": { "aws:SourceArn": [{ "Ref": "TopicTestHappened" }] } }));
    }
}
