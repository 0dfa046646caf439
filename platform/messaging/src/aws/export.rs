//! A topology as a script for LocalStack's own command line, run by its container when it is ready.

use std::fmt::{self, Write};

use serde_json::Value;

use super::resources::{Place, Resource, resources};
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
    let place = Place::localstack();
    for resource in resources(topology, names, &place) {
        write_command(&mut script, &resource, &place).expect("writing to a String never fails");
    }
    script
}

fn write_command(script: &mut String, resource: &Resource, place: &Place) -> fmt::Result {
    match resource {
        Resource::Topic { name } => writeln!(script, "\nawslocal sns create-topic --name {name}"),
        // Created without attributes: where the queue is there already, with others, creating it with these would fail.
        Resource::Queue { name, attributes } => {
            let account = &place.account;
            let attributes = attributes.iter().map(|(name, value)| (name.as_str(), value));
            writeln!(
                script,
                "\nawslocal sqs create-queue --queue-name {name}\n\
                 awslocal sqs set-queue-attributes --queue-url {ENDPOINT}/{account}/{name} \\\n    --attributes {}",
                quoted(attributes)
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
