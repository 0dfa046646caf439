//! A topology as a script for LocalStack's own command line, run by its container when it is ready.

use std::fmt::{self, Write};

use super::topology::{Attributes, dead_letter_attributes, queue_attributes, subscription_attributes};
use crate::{Names, Topology};

/// LocalStack's only account, and the region that its container's scripts work in.
const ACCOUNT: &str = "000000000000";
const REGION: &str = "us-east-1";
const ENDPOINT: &str = "http://localhost:4566";

const HEAD: &str = "#!/bin/sh
# Written by `waypost topology export --format awslocal`: change the handlers, not this file.
# Idempotent, as `waypost topology apply` is.
set -eu
";

/// Makes what is missing and sets what may differ, with `awslocal`.
pub fn awslocal_script(topology: &Topology, names: &Names) -> String {
    let mut script = HEAD.to_owned();
    let written = write_script(&mut script, topology, names);
    written.expect("writing to a String never fails");
    script
}

fn write_script(script: &mut String, topology: &Topology, names: &Names) -> fmt::Result {
    for event in topology.topics() {
        writeln!(script, "\nawslocal sns create-topic --name {}", names.topic(event.as_str()))?;
    }
    for subscriber in &topology.subscribers {
        let (queue, dead_letters) = (names.queue(&subscriber.consumer), names.dead_letter_queue(&subscriber.consumer));
        let (queue_arn, dlq_arn) = (arn("sqs", &queue), arn("sqs", &dead_letters));
        let topics: Vec<_> = subscriber.events.iter().map(|event| arn("sns", &names.topic(event.as_str()))).collect();
        write_queue(script, &dead_letters, &dead_letter_attributes(subscriber.settings))?;
        write_queue(script, &queue, &queue_attributes(subscriber.settings, &dlq_arn, &queue_arn, &topics))?;
        for (event, topic_arn) in subscriber.events.iter().zip(&topics) {
            let attributes =
                subscription_attributes(event.as_str()).map(|(name, value)| (name.to_owned(), value.into()));
            let attributes = attributes.into_iter().collect();
            writeln!(
                script,
                "\nawslocal sns subscribe --topic-arn {topic_arn} --protocol sqs \\\n    \
                 --notification-endpoint {queue_arn} \\\n    --attributes {}",
                quoted(&serde_json::Value::Object(attributes))
            )?;
        }
    }
    Ok(())
}

/// Created without attributes: where the queue is there already, with others, creating it with these would fail.
fn write_queue(script: &mut String, name: &str, attributes: &Attributes) -> fmt::Result {
    let attributes = attributes.iter().map(|(name, value)| (name.as_str().to_owned(), value.clone().into())).collect();
    writeln!(script, "\nawslocal sqs create-queue --queue-name {name}")?;
    writeln!(
        script,
        "awslocal sqs set-queue-attributes --queue-url {ENDPOINT}/{ACCOUNT}/{name} \\\n    --attributes {}",
        quoted(&serde_json::Value::Object(attributes))
    )
}

fn arn(service: &str, name: &str) -> String {
    format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{name}")
}

/// JSON for a shell. Names can't hold an apostrophe, so nothing has to be escaped.
fn quoted(value: &serde_json::Value) -> String {
    format!("'{value}'")
}
