//! Every producer and every consumer there is. What topology, catalog and checks know of them, they know from here.

use contracts::{Landscape, Reader, Sender};
use messaging::Topology;
use worker::Consumer;

use crate::{consumers::CONSUMERS, producers::PRODUCERS};

pub fn landscape() -> Landscape {
    let consumers: Vec<_> = CONSUMERS.iter().map(|row| (row.registered)()).collect();
    Landscape {
        senders: PRODUCERS
            .iter()
            .map(|row| Sender { service: row.name, events: row.sends.iter().copied().collect() })
            .collect(),
        readers: consumers.iter().flat_map(readers).collect(),
        subscribers: consumers.iter().map(Consumer::subscriber).collect(),
    }
}

/// What has to exist on the bus.
pub fn topology() -> Topology {
    landscape().topology()
}

fn readers(consumer: &Consumer) -> impl Iterator<Item = Reader> {
    consumer.readings().map(|reading| Reader {
        consumer: consumer.name().to_owned(),
        handler: reading.handler.to_owned(),
        event_type: reading.event_type,
        version: reading.version,
        fields: reading.fields.iter().map(|field| (*field).to_owned()).collect(),
    })
}
