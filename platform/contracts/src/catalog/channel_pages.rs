//! Topics and queues, with what becomes of a message there.

use std::fmt::Write as _;

use messaging::{QueueSettings, Subscriber};
use schemas::EventType;

use super::{
    Files,
    front_matter::{Yaml, block},
    markdown::{link, table},
    service_pages::{ONLY, owners},
    system::{System, paths},
};

/// What a page says of a channel.
struct Channel {
    id: String,
    name: String,
    protocol: &'static str,
    summary: String,
    /// Ids of channels where messages go from here.
    routes: Vec<String>,
    text: String,
}

pub fn add(files: &mut Files, system: &System<'_>) {
    let topics = system.topics().into_iter().map(|event| topic(system, event));
    let queues = system.subscribers.iter().flat_map(|subscriber| queues(system, subscriber));
    for channel in topics.chain(queues) {
        files.insert(paths::channel(&channel.id), page(&channel));
    }
}

fn page(channel: &Channel) -> String {
    let route = |id: &String| Yaml::from([("id", id.as_str().into()), ("version", ONLY.into())]);
    let text = block([
        ("id", Some(channel.id.as_str().into())),
        ("name", Some(channel.name.as_str().into())),
        ("version", Some(ONLY.into())),
        ("summary", Some(channel.summary.as_str().into())),
        ("owners", Some(owners())),
        ("address", Some(channel.name.as_str().into())),
        ("protocols", Some([Yaml::from(channel.protocol)].into_iter().collect())),
        ("deliveryGuarantee", Some("at-least-once".into())),
        ("routes", (!channel.routes.is_empty()).then(|| channel.routes.iter().map(route).collect())),
    ]);
    format!("{text}\n# {}\n\n{}\n\n{}", channel.name, channel.summary, channel.text)
}

fn topic(system: &System<'_>, event: EventType) -> Channel {
    let name = system.names.topic(event.as_str());
    let id = paths::topic_id(&name);
    let page = paths::channel(&id);
    let hears = |subscriber: &&&Subscriber| subscriber.events.contains(&event);
    let listeners: Vec<_> = system.subscribers.iter().filter(hears).collect();
    let mut text = format!("Carries [`{event}`]({}).\n", link(&page, &paths::event(event.as_str())));
    let mut routes = Vec::new();
    let mut rows = Vec::new();
    for Subscriber { consumer, .. } in listeners {
        let (queue, undelivered) = (system.names.queue(consumer), system.names.undelivered_queue(consumer));
        rows.push(vec![channel_link(&page, &queue), format!("`type` is `{event}`"), channel_link(&page, &undelivered)]);
        routes.push(paths::queue_id(&queue));
    }
    if rows.is_empty() {
        text += "\nNo queue is subscribed to it yet, so what is sent to it is gone.\n";
    } else {
        let rows = table(&["Delivered to", "Where the attribute", "Undeliverable goes to"], &rows);
        write!(text, "\nRaw: the body is the event itself, in no envelope of SNS.\n\n{rows}").expect("it is a String");
    }
    let summary = format!("The topic that {event} is published to.");
    Channel { id, name, protocol: "sns", summary, routes, text }
}

fn queues(system: &System<'_>, subscriber: &Subscriber) -> [Channel; 3] {
    let Subscriber { consumer, events, settings } = subscriber;
    let QueueSettings { visibility, retention, dead_letter_retention, max_receive_count } = *settings;
    let name = system.names.queue(consumer);
    let (dead, undelivered) = (system.names.dead_letter_queue(consumer), system.names.undelivered_queue(consumer));
    let page = paths::channel(&paths::queue_id(&name));
    let events: Vec<_> =
        events.iter().map(|event| format!("[`{event}`]({})", link(&page, &paths::event(event.as_str())))).collect();
    let days = |duration: std::time::Duration| duration.as_secs() / (24 * 60 * 60);
    let text = format!(
        "Read by [{consumer}]({}); carries {}.\n\n\
         A message is hidden for {} seconds when it is received, unless its worker asks for longer, and kept for {} days. \
         What can't be applied goes to {} with the reason, put there by the worker; what was received {max_receive_count} \
         times without an end goes there too, put there by SQS.\n",
        link(&page, &paths::service(consumer)),
        events.join(", "),
        visibility.as_secs(),
        days(retention),
        channel_link(&page, &dead),
    );
    let queue = Channel {
        id: paths::queue_id(&name),
        summary: format!("The queue of {consumer}."),
        protocol: "sqs",
        routes: vec![paths::queue_id(&dead)],
        text,
        name,
    };
    let kept = days(dead_letter_retention);
    let dead = Channel {
        id: paths::queue_id(&dead),
        summary: format!("What {consumer} could not apply."),
        protocol: "sqs",
        routes: Vec::new(),
        text: format!(
            "Kept for {kept} days, counted from when a message was first sent. `waypost dlq groups --consumer {consumer}` \
             tells what is in it and why, `waypost dlq replay` puts it back.\n"
        ),
        name: dead,
    };
    let undelivered = Channel {
        id: paths::queue_id(&undelivered),
        summary: format!("What SNS could not deliver to the queue of {consumer}."),
        protocol: "sqs",
        routes: Vec::new(),
        text: format!(
            "Kept for {kept} days. Anything in it means that a permission, a key or the queue itself is not as \
             `waypost topology verify` wants it. There is none in PostgreSQL, where publishing and delivering are one.\n"
        ),
        name: undelivered,
    };
    [queue, dead, undelivered]
}

fn channel_link(page: &str, queue: &str) -> String {
    format!("[`{queue}`]({})", link(page, &paths::channel(&paths::queue_id(queue))))
}
