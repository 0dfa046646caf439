//! The envelope that SNS puts around a message where raw delivery is off.

use serde::Deserialize;

/// A body, told apart by its structure.
#[derive(Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// Delivered raw: what the producer sent.
    Raw(&'a str),
    /// Taken out of an SNS notification.
    Unwrapped(String),
}

impl Body<'_> {
    pub fn as_str(&self) -> &str {
        match self {
            Self::Raw(text) => text,
            Self::Unwrapped(text) => text,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Notification {
    r#type: String,
    #[serde(rename = "TopicArn")]
    _topic_arn: String,
    #[serde(rename = "MessageId")]
    _message_id: String,
    message: String,
}

/// Takes the message out of an SNS notification: an object with `Type` "Notification", `TopicArn`, `MessageId` and
/// `Message`. No CloudEvent has these (its attributes are lower-case), so the two can't be mistaken for each other.
///
/// SNS writes these names as they are. So a body without one of them is no notification, which is found out here without
/// reading it as JSON: most bodies are read anyway, for what they are.
pub fn unwrap_notification(body: &str) -> Body<'_> {
    if !body.contains(r#""TopicArn""#) {
        return Body::Raw(body);
    }
    match serde_json::from_str::<Notification>(body) {
        Ok(notification) if notification.r#type == "Notification" => Body::Unwrapped(notification.message),
        _ => Body::Raw(body),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_notification_is_unwrapped_once_and_anything_else_is_raw() {
        let event = r#"{"specversion":"1.0","type":"user.created"}"#;
        let wrapped =
            json!({"Type":"Notification","MessageId":"m","TopicArn":"arn:aws:sns:x","Message":event}).to_string();
        assert_eq!(unwrap_notification(&wrapped), Body::Unwrapped(event.to_owned()));
        let other = json!({"Type":"SubscriptionConfirmation","MessageId":"m","TopicArn":"a","Message":"x"}).to_string();
        let mentions = r#"{"type":"a","data":"\"TopicArn\""}"#;
        for raw in [event, mentions, "not json", "{}", &other, r#"{"Type":"Notification","Message":"x"}"#] {
            assert_eq!(unwrap_notification(raw), Body::Raw(raw));
        }
    }
}
