//! The one queue that a backfill goes to, and what of it the queue's consumer takes.

use std::{collections::BTreeSet, sync::Arc};

use anyhow::bail;
use messaging::{Names, Queue, Topology};
use schemas::EventType;
use worker::Consumer;

use super::source::Source;
use crate::{Usage, bus::BusSettings, consumers::CONSUMERS};

#[derive(Debug)]
pub struct Destination {
    consumer: Consumer,
    /// Where it was named by one.
    url: Option<String>,
    /// Of what the source tells, what the consumer has a handler for.
    pub takes: BTreeSet<EventType>,
}

impl Destination {
    pub fn find(to: &str, names: &Names, source: &Source) -> Result<Self, Usage> {
        let url = to.contains("://").then(|| to.to_owned());
        let name = url.as_deref().and_then(|url| url.rsplit('/').next()).unwrap_or(to);
        let found = CONSUMERS.iter().find(|row| names.queue(row.name) == name || row.name == to);
        let Some(row) = found else {
            let queues: Vec<_> = CONSUMERS.iter().map(|row| names.queue(row.name)).collect();
            return Err(Usage(format!("--to is {to}: it should be a consumer's queue, one of {}", queues.join(", "))));
        };
        let consumer = (row.registered)();
        let takes = taken(&consumer, source)?;
        Ok(Self { consumer, url, takes })
    }

    /// The bus, with the queue at the URL that was given.
    pub fn settings(&self, bus: BusSettings) -> anyhow::Result<BusSettings> {
        let Some(url) = &self.url else { return Ok(bus) };
        Ok(bus.with_queue_url(self.consumer.name(), Some(("--to".to_owned(), url.as_str())))?)
    }

    pub async fn open(&self, settings: &BusSettings) -> anyhow::Result<Arc<dyn Queue>> {
        let bus = settings.connect().await?;
        let topology = Topology { subscribers: vec![self.consumer.subscriber()], published: BTreeSet::new() };
        // Else what happens while it goes on would be missed for good: a page has passed its subject already, and no event comes.
        if let Some(missing) = bus.verify(&topology).await?.iter().find(|difference| difference.is_missing()) {
            bail!(
                "{} is not there; `waypost topology apply` makes it, and a backfill comes after it",
                missing.resource
            );
        }
        Ok(bus.queue(&bus.names().queue(self.consumer.name())).await?)
    }
}

/// Refuses a consumer that would do more with them than apply them: mails about what was long ago can't be taken back.
fn taken(consumer: &Consumer, source: &Source) -> Result<BTreeSet<EventType>, Usage> {
    let handled = consumer.events();
    let takes: BTreeSet<_> = source.tells.iter().copied().filter(|event| handled.contains(event)).collect();
    let (name, service) = (consumer.name(), source.producer.name);
    if let Some(event) = takes.iter().find(|event| consumer.performs(event)) {
        let why =
            format!("{name} doesn't apply {event} but acts on it, outside of its database, each time that it comes");
        return Err(Usage(format!("--to is the queue of {name}, to which nothing is told again: {why}")));
    }
    if takes.is_empty() {
        let told: Vec<_> = source.tells.iter().map(|event| event.as_str()).collect();
        let told = told.join(", ");
        return Err(Usage(format!("--to is the queue of {name}, which reads none of what {service} tells: {told}")));
    }
    Ok(takes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::backfill::source::SOURCES;

    fn found(to: &str, service: &str) -> Result<(&'static str, Vec<&'static str>), String> {
        let source = SOURCES.iter().find(|row| row.producer.name == service).unwrap();
        let found = Destination::find(to, &Names::with_prefix("blue-"), source);
        found
            .map(|found| (found.consumer.name(), found.takes.iter().map(|event| event.as_str()).collect()))
            .map_err(|error| error.0)
    }

    #[test]
    fn a_queue_is_known_by_its_name_its_consumer_or_its_url() {
        let accounts = ["user.created", "user.deactivated", "user.deleted", "user.sessions.revoked"];
        for to in ["blue-user-service", "user-service", "https://sqs.eu-central-1.amazonaws.com/1/blue-user-service"] {
            assert_eq!(found(to, "auth-service"), Ok(("user-service", accounts.to_vec())), "{to}");
        }
        let products = ["product.created", "product.discontinued"];
        assert_eq!(found("user-service", "product-service"), Ok(("user-service", products.to_vec())));
    }

    #[test]
    fn a_queue_whose_consumer_takes_none_of_it_or_acts_on_it_is_refused() {
        for (to, service, told) in [
            ("mailer", "auth-service", "mailer doesn't apply user.deactivated but acts on it"),
            ("mailer", "product-service", "mailer, which reads none of what product-service tells: product.created"),
            ("auth-service", "auth-service", "which reads none of what auth-service tells"),
            ("user-service-dlq", "auth-service", "one of blue-user-service, blue-mailer, blue-auth-service"),
            ("https://host/1/user-service", "auth-service", "it should be a consumer's queue"),
        ] {
            let refused = found(to, service).unwrap_err();
            assert!(refused.contains(told), "{to}: {refused}");
        }
    }
}
