//! The message body as a schema: a CloudEvent in structured JSON, as [`schemas::Envelope`] writes it.

use schemas::SchemaEntry;
use serde_json::{Value, json};

/// What every event has around its payload. Attributes that are not named here may be there: the specification has
/// readers pass over those that they don't know.
pub fn cloud_event() -> Value {
    json!({
        "title": "CloudEvent",
        "description": "CloudEvents 1.0 in structured JSON, with the extensions `schemaversion`, `sequence` and `traceparent`.",
        "type": "object",
        "required": [
            "specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "schemaversion",
            "sequence", "data"
        ],
        "properties": {
            "specversion": { "const": "1.0" },
            "id": {
                "type": "string",
                "format": "uuid",
                "description": "A UUID v7: what tells an event from its copies, whoever delivers it and how often."
            },
            "source": { "type": "string", "minLength": 1, "description": "The service that sent it." },
            "type": { "type": "string", "minLength": 1 },
            "subject": { "type": "string", "description": "Whom or what the event is about." },
            "time": { "type": "string", "format": "date-time", "description": "When it happened." },
            "datacontenttype": { "const": "application/json" },
            "dataschema": { "type": "string", "description": "Which version of which payload `data` is." },
            "schemaversion": { "type": "integer", "minimum": 1 },
            "sequence": {
                "type": "string",
                "pattern": "^[0-9]{20}$",
                "description": "The subject's version at this source: of two events, the one with the greater text is newer."
            },
            "traceparent": { "type": "string", "description": "W3C Trace Context of the request that caused it." },
            "data": { "type": "object" }
        }
    })
}

/// A CloudEvent around one version of one payload.
pub fn envelope_of(entry: &SchemaEntry, data: &Value) -> Value {
    let (event, version) = (entry.event_type, entry.version);
    json!({
        "allOf": [
            { "$ref": "#/components/schemas/cloudevent" },
            { "properties": {
                "type": { "const": event.as_str() },
                "schemaversion": { "const": version },
                "dataschema": { "const": format!("urn:waypost:{event}:{version}") },
                "data": data
            } }
        ]
    })
}

/// The message's attributes: copies of what filter policies look at.
pub fn attributes_of(entry: &SchemaEntry) -> Value {
    json!({
        "type": "object",
        "description": "Attributes of the message, on SNS and SQS alike.",
        "required": ["schemaversion", "source", "type"],
        "properties": {
            "schemaversion": { "type": "string", "const": entry.version.to_string() },
            "source": { "type": "string", "const": entry.producer },
            "type": { "type": "string", "const": entry.event_type.as_str() }
        }
    })
}
