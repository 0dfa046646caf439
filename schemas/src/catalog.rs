//! Every published schema.

use schemars::Schema;
use serde_json::{Value, value::RawValue};

use crate::{
    Envelope, Event, EventType, Header, Newest, PayloadError, ProductCreatedV1, ProductDiscontinuedV1,
    ProductPriceChangedV1, ProductUpdatedV1, UnreadableJson, UserCreatedV1, UserCreatedV2, UserDeactivatedV1,
    UserDeletedV1, UserEmailChangedV1, UserEmailVerificationRequestedV1, UserEmailVerifiedV1, UserErasureCompletedV1,
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
    raise: fn(&RawValue) -> Result<Value, PayloadError>,
    wrap: fn(&str, Header) -> Result<Envelope, UnreadableJson>,
}

/// One version of an event, and the newest one, to which readers raise it.
const fn entry<E: Event, N: Newest>(producer: &'static str) -> SchemaEntry {
    SchemaEntry::of::<E, N>(producer)
}

const fn newest<E: Newest>(producer: &'static str) -> SchemaEntry {
    entry::<E, E>(producer)
}

const AUTH: &str = "auth-service";
const PRODUCT: &str = "product-service";
const USER: &str = "user-service";

const ALL: &[SchemaEntry] = &[
    entry::<UserCreatedV1, UserCreatedV2>(AUTH),
    newest::<UserCreatedV2>(AUTH),
    newest::<UserEmailVerificationRequestedV1>(AUTH),
    newest::<UserEmailVerifiedV1>(AUTH),
    newest::<UserEmailChangedV1>(AUTH),
    newest::<UserPasswordResetRequestedV1>(AUTH),
    newest::<UserPasswordChangedV1>(AUTH),
    newest::<UserRegistrationRepeatedV1>(AUTH),
    newest::<UserRolesChangedV1>(AUTH),
    newest::<UserSessionsRevokedV1>(AUTH),
    newest::<UserDeactivatedV1>(AUTH),
    newest::<UserReactivatedV1>(AUTH),
    newest::<UserDeletedV1>(AUTH),
    newest::<UserErasureCompletedV1>(USER),
    newest::<ProductCreatedV1>(PRODUCT),
    newest::<ProductUpdatedV1>(PRODUCT),
    newest::<ProductPriceChangedV1>(PRODUCT),
    newest::<ProductDiscontinuedV1>(PRODUCT),
];

/// Every version of every event that was ever published, oldest first within a type.
pub fn all() -> &'static [SchemaEntry] {
    ALL
}

impl SchemaEntry {
    /// Version `E` of an event, which readers raise to its newest version `N`. For events that live in another crate:
    /// such an entry can be judged and sampled, but is not among [`all`].
    pub const fn of<E: Event, N: Newest>(producer: &'static str) -> Self {
        Self {
            event_type: E::TYPE,
            version: E::VERSION,
            producer,
            schema: || schemars::schema_for!(E),
            check: |text| read::json::<E>(text, Some("data")).map(drop),
            raise: |data| {
                let event = N::read(E::VERSION, data)?;
                Ok(serde_json::to_value(event).expect("an event that was read can be written"))
            },
            wrap: |text, header| {
                let event: E = read::json(text, Some("data"))?;
                Ok(Envelope::new(&event, header).expect("an event that was read can be written"))
            },
        }
    }

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

    /// The payload as this version's struct writes it, in an envelope. Fields that the struct doesn't know are left out.
    pub fn wrap(&self, data: &RawValue, header: Header) -> Result<Envelope, UnreadableJson> {
        (self.wrap)(data.get(), header)
    }

    /// The payload as a handler sees it: raised to the newest version.
    pub fn raise(&self, data: &RawValue) -> Result<Value, PayloadError> {
        (self.raise)(data)
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
    fn every_version_is_raised_to_the_newest_of_its_type() {
        for entry in ALL {
            let newest = SchemaEntry::newest(entry.event_type.as_str()).unwrap();
            for example in entry.examples().filter(|example| example.valid) {
                let data = RawValue::from_string(example.text.to_owned()).unwrap();
                let raised = entry.raise(&data).unwrap();
                newest.check(&RawValue::from_string(raised.to_string()).unwrap()).unwrap();
            }
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
