//! A topology as a script for LocalStack's own command line, run by its container when it is ready.

use std::fmt::{self, Write};

use serde_json::{Value, json};

use super::resources::{Place, Resource, Tags, resources, tags};
use crate::{Names, Topology};

const ENDPOINT: &str = "http://localhost:4566";

const HEAD: &str = "#!/bin/sh
# Written by `waypost topology export --format awslocal`: change the handlers, not this file.
# Idempotent, as `waypost topology apply` is.
set -eu
";

/// Makes what is missing and sets what may differ, with `awslocal`.
pub fn awslocal_script(topology: &Topology, names: &Names) -> String {
    let mut script = HEAD.to_owned();
    let (place, tags) = (Place::localstack(), tags(names));
    for resource in resources(topology, names, &place) {
        write_command(&mut script, &resource, &place, &tags).expect("writing to a String never fails");
    }
    script
}

fn write_command(script: &mut String, resource: &Resource, place: &Place, tags: &Tags) -> fmt::Result {
    match resource {
        // Tagged apart: where the topic is there already, with other tags, creating it with these would fail.
        Resource::Topic { name } => {
            let tags: Vec<_> = tags.iter().map(|(name, value)| json!({ "Key": name, "Value": value })).collect();
            writeln!(
                script,
                "\nawslocal sns create-topic --name {name}\n\
                 awslocal sns tag-resource --resource-arn {} --tags '{}'",
                place.topic(name),
                Value::from(tags)
            )
        }
        // Created without attributes: where the queue is there already, with others, creating it with these would fail.
        Resource::Queue { name, attributes } => {
            let account = &place.account;
            let attributes = attributes.iter().map(|(name, value)| (name.as_str(), value));
            writeln!(
                script,
                "\nawslocal sqs create-queue --queue-name {name}\n\
                 awslocal sqs set-queue-attributes --queue-url {ENDPOINT}/{account}/{name} \\\n    --attributes {}\n\
                 awslocal sqs tag-queue --queue-url {ENDPOINT}/{account}/{name} --tags {}",
                quoted(attributes),
                quoted(tags.iter().map(|(name, value)| (*name, value)))
            )
        }
        Resource::Subscription { topic, queue, attributes } => {
            let (topic, queue) = (place.topic(topic), place.queue(queue));
            let attributes = attributes.iter().map(|(name, value)| (*name, value));
            writeln!(
                script,
                "\nawslocal sns subscribe --topic-arn {topic} --protocol sqs \\\n    \
                 --notification-endpoint {queue} \\\n    --attributes {}",
                quoted(attributes)
            )
        }
    }
}

/// JSON for a shell. Names can't hold an apostrophe, so nothing has to be escaped.
fn quoted<'a>(attributes: impl Iterator<Item = (&'a str, &'a String)>) -> String {
    let object = attributes.map(|(name, value)| (name.to_owned(), Value::from(value.as_str()))).collect();
    format!("'{}'", Value::Object(object))
}
