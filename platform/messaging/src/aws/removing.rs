//! Deleting: a topology, a consumer, and what no topology has any more.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use futures_util::future::try_join_all;
use schemas::Clock;

use super::{
    connect::AwsBus,
    resources::{Attributes, Place, Resource, resources, tags},
};
use crate::{
    Counts, Extra, ExtraResource, Kept, Prune, Subscriber, Topology, TopologyError,
    prune::{Found, FoundQueue, FoundSubscription, FoundTopic, decide, keep_what_serves},
};

/// Queues that are looked at at a time.
const LOOKING: usize = 8;

impl AwsBus {
    pub(super) async fn remove_topology(&self, topology: &Topology) -> Result<(), TopologyError> {
        let arns = self.topic_arns().await?;
        for resource in resources(topology, &self.names, &Place::localstack()) {
            match resource {
                Resource::Queue { name, .. } => self.delete_queue(&name).await?,
                Resource::Topic { name } => {
                    if let Some(arn) = arns.get(&name) {
                        self.delete_topic(&name, arn).await?;
                    }
                }
                // Goes with its topic.
                Resource::Subscription { .. } => {}
            }
        }
        Ok(())
    }

    pub(super) async fn remove_consumer(&self, subscriber: &Subscriber) -> Result<(), TopologyError> {
        let arns = self.topic_arns().await?;
        let topology = Topology { subscribers: vec![subscriber.clone()], ..Topology::default() };
        // Backwards: what delivers to a queue goes before the queue.
        for resource in resources(&topology, &self.names, &Place::localstack()).into_iter().rev() {
            match resource {
                Resource::Subscription { topic, queue, .. } => {
                    let Some((arn, place)) = arns.get(&topic).and_then(|arn| Some((arn, Place::of(arn)?))) else {
                        continue;
                    };
                    if let Some(found) = self.find_subscription(arn, &place.queue(&queue)).await? {
                        self.unsubscribe(&found["SubscriptionArn"]).await?;
                    }
                }
                Resource::Queue { name, .. } => self.delete_queue(&name).await?,
                Resource::Topic { .. } => {}
            }
        }
        Ok(())
    }

    pub(super) async fn find_extras(&self, topology: &Topology, prune: Prune) -> Result<Vec<Extra>, TopologyError> {
        let topics = self.topic_arns().await?;
        Ok(decide(self.find_ours(topology, &topics).await?, &self.names, prune))
    }

    pub(super) async fn prune_extras(&self, topology: &Topology, prune: Prune) -> Result<Vec<Extra>, TopologyError> {
        let topics = self.topic_arns().await?;
        let mut extras = decide(self.find_ours(topology, &topics).await?, &self.names, prune);
        for position in 0..extras.len() {
            if extras[position].kept.is_some() {
                continue;
            }
            match extras[position].resource.clone() {
                ExtraResource::Subscription { topic, queue } => {
                    let Some((arn, place)) = topics.get(&topic).and_then(|arn| Some((arn, Place::of(arn)?))) else {
                        continue;
                    };
                    if let Some(found) = self.find_subscription(arn, &place.queue(&queue)).await? {
                        self.unsubscribe(&found["SubscriptionArn"]).await?;
                    }
                }
                ExtraResource::Queue { name } => {
                    // Something may have arrived before its subscriptions ended.
                    let counts = self.counts_of(&name).await?;
                    let holds = counts.visible + counts.in_flight > 0;
                    if holds && !prune.with_messages && !self.names.is_temporary(&name) {
                        extras[position].kept = Some(Kept::HoldsMessages(counts));
                        keep_what_serves(&mut extras);
                    } else {
                        self.delete_queue(&name).await?;
                    }
                }
                ExtraResource::Topic { name } => {
                    if let Some(arn) = topics.get(&name) {
                        self.delete_topic(&name, arn).await?;
                    }
                }
            }
        }
        Ok(extras)
    }

    /// What carries our mark and is not in the topology. Names that begin like ours only narrow the search.
    async fn find_ours(
        &self,
        topology: &Topology,
        topic_arns: &HashMap<String, String>,
    ) -> Result<Found, TopologyError> {
        let expected = resources(topology, &self.names, &Place::localstack());
        let expected: BTreeSet<_> = expected.iter().map(ToString::to_string).collect();
        let is_expected = |resource: Resource| expected.contains(&resource.to_string());
        let is_expected_queue =
            |name: &str| is_expected(Resource::Queue { name: name.to_owned(), attributes: Attributes::new() });

        let urls = self.queue_urls().await?;
        let unknown: Vec<_> = urls.into_iter().filter(|(name, _)| !is_expected_queue(name)).collect();
        let mut queues = Vec::new();
        for some in unknown.chunks(LOOKING) {
            let looked = try_join_all(some.iter().map(|(name, url)| self.look_at_queue(name, url))).await?;
            queues.extend(looked.into_iter().flatten());
        }
        let ours = |name: &str| is_expected_queue(name) || queues.iter().any(|queue| queue.name == name);

        let mut found = Found::default();
        let candidates: BTreeMap<_, _> =
            topic_arns.iter().filter(|(name, _)| name.starts_with(self.names.prefix())).collect();
        for (topic, arn) in candidates {
            let is_extra = !is_expected(Resource::Topic { name: topic.clone() });
            if is_extra && !self.is_ours(self.topic_tags(arn).await?.as_ref()) {
                continue;
            }
            let mut foreign = 0;
            for endpoint in self.endpoints(arn).await? {
                let queue = endpoint.rsplit(':').next().unwrap_or_default().to_owned();
                let is_our_queue = Place::of(arn).is_some_and(|place| place.queue(&queue) == endpoint) && ours(&queue);
                if !is_our_queue {
                    foreign += 1;
                } else if !is_expected(subscription_between(topic, &queue)) {
                    found.subscriptions.push(FoundSubscription { topic: topic.clone(), queue });
                }
            }
            if is_extra {
                found.topics.push(FoundTopic { name: topic.clone(), foreign });
            }
        }
        found.queues = queues;
        Ok(found)
    }

    async fn look_at_queue(&self, name: &str, url: &str) -> Result<Option<FoundQueue>, TopologyError> {
        if !self.is_ours(self.queue_tags(url, name).await?.as_ref()) {
            return Ok(None);
        }
        let Some(queue) = self.find_queue(name).await? else { return Ok(None) };
        let made = queue.attributes.get("CreatedTimestamp").and_then(|seconds| seconds.parse::<i64>().ok());
        let age = made.map_or(0, |made| Clock::system().now().unix_timestamp() - made);
        let age = Duration::from_secs(age.try_into().unwrap_or(0));
        Ok(Some(FoundQueue { name: name.to_owned(), counts: counts(&queue.attributes), age }))
    }

    async fn counts_of(&self, name: &str) -> Result<Counts, TopologyError> {
        let found = self.find_queue(name).await?;
        Ok(found.map_or(Counts { visible: 0, in_flight: 0 }, |queue| counts(&queue.attributes)))
    }

    fn is_ours(&self, found: Option<&HashMap<String, String>>) -> bool {
        found.is_some_and(|found| tags(&self.names).iter().all(|(name, value)| found.get(*name) == Some(value)))
    }
}

/// Those that are delayed wait as the visible ones do.
pub(super) fn counts(attributes: &HashMap<String, String>) -> Counts {
    let count = |name: &str| attributes.get(name).and_then(|value| value.parse::<u64>().ok()).unwrap_or(0);
    Counts {
        visible: count("ApproximateNumberOfMessages") + count("ApproximateNumberOfMessagesDelayed"),
        in_flight: count("ApproximateNumberOfMessagesNotVisible"),
    }
}

fn subscription_between(topic: &str, queue: &str) -> Resource {
    Resource::Subscription { topic: topic.to_owned(), queue: queue.to_owned(), attributes: BTreeMap::new() }
}
