//! The alarms of a topology, for a stack.
//!
//! A dead-letter queue is watched by what is in it. `NumberOfMessagesSent` does not count what SQS moves there itself, so
//! the message that kills its worker would raise no alarm.

use serde_json::{Value, json};

use super::permissions::camel;
use crate::{Names, Topology};

const MINUTE: u32 = 60;
/// For how many minutes in a row something that passes by itself has to last.
const LASTING: u32 = 5;

/// By logical id.
pub fn alarms(topology: &Topology, names: &Names) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for subscriber in &topology.subscribers {
        let consumer = &subscriber.consumer;
        let queue = names.queue(consumer);
        let holding = [
            (names.dead_letter_queue(consumer), "Dead letters are waiting: `waypost dlq list` tells why"),
            (names.undelivered_queue(consumer), "SNS could not deliver to the queue"),
        ];
        for (queue, description) in holding {
            let metric = json!({
                "Namespace": "AWS/SQS",
                "MetricName": "ApproximateNumberOfMessagesVisible",
                "Dimensions": queue_dimension(&queue),
                "Statistic": "Maximum",
                "Period": MINUTE,
            });
            all.push(alarm(&queue, "not-empty", description, 1, &json!(0), metric));
        }
        let oldest = json!({
            "Namespace": "AWS/SQS",
            "MetricName": "ApproximateAgeOfOldestMessage",
            "Dimensions": queue_dimension(&queue),
            "Statistic": "Maximum",
            "Period": MINUTE,
        });
        let description = "The consumer is behind, or something keeps failing";
        all.push(alarm(&queue, "oldest", description, LASTING, &json!({ "Ref": "OldestMessageSeconds" }), oldest));
        let description = "Messages are waiting and nobody asks for them";
        all.push(alarm(&queue, "no-consumer", description, LASTING, &json!(0), without_consumer(&queue)));
    }
    for event in topology.topics() {
        let topic = names.topic(event.as_str());
        let lost = json!({
            "Namespace": "AWS/SNS",
            "MetricName": "NumberOfNotificationsFailedToRedriveToDlq",
            "Dimensions": [{ "Name": "TopicName", "Value": topic }],
            "Statistic": "Sum",
            "Period": MINUTE,
        });
        let description = "An event is lost: SNS could deliver it nowhere";
        let (id, mut alarm) = alarm(&topic, "lost", description, 1, &json!(0), lost);
        // Nothing brings the event back, so nobody is told a minute later that all is well.
        if let Some(properties) = alarm["Properties"].as_object_mut() {
            properties.remove("OKActions");
        }
        all.push((id, alarm));
    }
    all
}

/// Polls that find nothing are consumers as well, so they tell an idle queue from one that nobody reads.
fn without_consumer(queue: &str) -> Value {
    let metric = |id: &str, name: &str, statistic: &str| {
        let metric = json!({ "Namespace": "AWS/SQS", "MetricName": name, "Dimensions": queue_dimension(queue) });
        let stat = json!({ "Metric": metric, "Period": MINUTE, "Stat": statistic });
        json!({ "Id": id, "MetricStat": stat, "ReturnData": false })
    };
    let unread = "IF(visible > 0 AND FILL(received, 0) + FILL(empty, 0) == 0, 1, 0)";
    json!({
        "Metrics": [
            { "Id": "unread", "Expression": unread, "Label": "unread", "ReturnData": true },
            metric("visible", "ApproximateNumberOfMessagesVisible", "Maximum"),
            metric("received", "NumberOfMessagesReceived", "Sum"),
            metric("empty", "NumberOfEmptyReceives", "Sum"),
        ]
    })
}

/// Goes off above `threshold`, where it stays so for that many minutes.
fn alarm(of: &str, what: &str, description: &str, minutes: u32, threshold: &Value, metric: Value) -> (String, Value) {
    let plain = of.strip_prefix("${NamePrefix}").unwrap_or(of);
    let actions = json!({ "Fn::If": ["HasAlarmTopic", [{ "Ref": "AlarmTopicArn" }], { "Ref": "AWS::NoValue" }] });
    let mut properties = json!({
        "AlarmName": format!("{of}-{what}"),
        "AlarmDescription": description,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": threshold,
        "EvaluationPeriods": minutes,
        // SQS stops measuring a queue that nothing happens to.
        "TreatMissingData": "notBreaching",
        "AlarmActions": actions,
        "OKActions": actions,
    });
    if let (Value::Object(properties), Value::Object(metric)) = (&mut properties, metric) {
        properties.extend(metric);
    }
    let id = format!("Alarm{}{}", camel(plain), camel(what));
    (id, json!({ "Type": "AWS::CloudWatch::Alarm", "Properties": properties }))
}

fn queue_dimension(queue: &str) -> Value {
    json!([{ "Name": "QueueName", "Value": queue }])
}
