//! Every published schema.

use schemars::Schema;
use serde_json::{Value, value::RawValue};

use crate::{
    Envelope, Event, EventType, Header, ProductCreatedV1, ProductDiscontinuedV1, ProductPriceChangedV1,
    ProductUpdatedV1, UnreadableJson, UserCreatedV1, UserCreatedV2, UserDeactivatedV1, UserDeletedV1,
    UserEmailChangedV1, UserEmailVerificationRequestedV1, UserEmailVerifiedV1, UserErasureCompletedV1,
    UserPasswordChangedV1, UserPasswordResetRequestedV1, UserReactivatedV1, UserRegistrationRepeatedV1,
    UserRolesChangedV1, UserSessionsRevokedV1, read,
};

/// One version of one event.
#[derive(Debug, Clone, Copy)]
pub struct SchemaEntry {
    pub event_type: EventType,
    pub version: u32,
    /// The service that publishes it.
    pub producer: &'static str,
    schema: fn() -> Schema,
    check: fn(&str) -> Result<(), UnreadableJson>,
    envelope: fn(&str, Header) -> Result<Envelope, UnreadableJson>,
}

const fn entry<E: Event>(producer: &'static str) -> SchemaEntry {
    SchemaEntry {
        event_type: E::TYPE,
        version: E::VERSION,
        producer,
        schema: || schemars::schema_for!(E),
        check: |text| read::json::<E>(text, Some("data")).map(drop),
        envelope: |text, header| {
            let event: E = read::json(text, Some("data"))?;
            Ok(Envelope::new(&event, header).expect("an event that was read can be written"))
        },
    }
}

const AUTH: &str = "auth-service";
const PRODUCT: &str = "product-service";
const USER: &str = "user-service";

const ALL: &[SchemaEntry] = &[
    entry::<UserCreatedV1>(AUTH),
    entry::<UserCreatedV2>(AUTH),
    entry::<UserEmailVerificationRequestedV1>(AUTH),
    entry::<UserEmailVerifiedV1>(AUTH),
    entry::<UserEmailChangedV1>(AUTH),
    entry::<UserPasswordResetRequestedV1>(AUTH),
    entry::<UserPasswordChangedV1>(AUTH),
    entry::<UserRegistrationRepeatedV1>(AUTH),
    entry::<UserRolesChangedV1>(AUTH),
    entry::<UserSessionsRevokedV1>(AUTH),
    entry::<UserDeactivatedV1>(AUTH),
    entry::<UserReactivatedV1>(AUTH),
    entry::<UserDeletedV1>(AUTH),
    entry::<UserErasureCompletedV1>(USER),
    entry::<ProductCreatedV1>(PRODUCT),
    entry::<ProductUpdatedV1>(PRODUCT),
    entry::<ProductPriceChangedV1>(PRODUCT),
    entry::<ProductDiscontinuedV1>(PRODUCT),
];

/// Every version of every event that was ever published, oldest first within a type.
pub fn all() -> &'static [SchemaEntry] {
    ALL
}

impl SchemaEntry {
    pub fn find(event_type: &str, version: u32) -> Option<&'static Self> {
        ALL.iter().find(|entry| entry.event_type.as_str() == event_type && entry.version == version)
    }

    /// The newest version of a type.
    pub fn newest(event_type: &str) -> Option<&'static Self> {
        ALL.iter().filter(|entry| entry.event_type.as_str() == event_type).max_by_key(|entry| entry.version)
    }

    pub fn json_schema(&self) -> Value {
        (self.schema)().to_value()
    }

    /// `user.created v2`.
    pub fn title(&self) -> String {
        self.text("title")
    }

    /// What the event says, in a sentence or two.
    pub fn description(&self) -> String {
        self.text("description")
    }

    fn text(&self, keyword: &str) -> String {
        (self.schema)().get(keyword).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// Whether a reader of exactly this version takes the payload; the error names the field and never its value.
    pub fn check(&self, data: &RawValue) -> Result<(), UnreadableJson> {
        (self.check)(data.get())
    }

    /// The payload as its producer sends it.
    pub fn envelope(&self, data: &RawValue, header: Header) -> Result<Envelope, UnreadableJson> {
        (self.envelope)(data.get(), header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_by_its_name() {
        assert_eq!(SchemaEntry::find("user.created", 1).map(|entry| entry.version), Some(1));
        assert_eq!(SchemaEntry::newest("user.created").map(|entry| entry.version), Some(2));
        assert!(SchemaEntry::find("user.created", 7).is_none());
        assert!(SchemaEntry::newest("user.exploded").is_none());
    }

    #[test]
    fn versions_count_from_one_without_a_gap_and_have_one_producer() {
        for (at, entry) in ALL.iter().enumerate() {
            let before = ALL[..at].iter().filter(|other| other.event_type == entry.event_type);
            assert_eq!(before.clone().count() as u32 + 1, entry.version, "{}", entry.title());
            assert!(before.into_iter().all(|other| other.producer == entry.producer), "{}", entry.title());
        }
    }

    #[test]
    fn every_schema_says_what_it_is() {
        for entry in ALL {
            assert_eq!(entry.title(), format!("{} v{}", entry.event_type, entry.version));
            assert!(entry.description().ends_with('.'), "{}", entry.title());
        }
    }
}
