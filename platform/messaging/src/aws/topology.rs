//! Making SNS and SQS match a [`Topology`], and saying where they don't.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    connect::AwsBus,
    requests::failed,
    resources::{Attributes, Place, Resource, resources, tag_setting, tags},
};
use crate::{Difference, Topology, TopologyError, difference::meaning};

impl AwsBus {
    pub(super) async fn apply_topology(&self, topology: &Topology) -> Result<Vec<Difference>, TopologyError> {
        let before = self.verify_topology(topology).await?;
        if before.is_empty() {
            return Ok(before);
        }
        Difference::refuse_what_is_others(&before)?;
        let place = self.learn_place(topology).await?;
        let differing: BTreeSet<_> = before.iter().map(|difference| difference.resource.as_str()).collect();
        let tags = tags(&self.names);
        for resource in resources(topology, &self.names, &place) {
            if !differing.contains(resource.to_string().as_str()) {
                continue;
            }
            match resource {
                Resource::Topic { name } => {
                    let arn = self.create_topic(&name).await?;
                    self.tag_topic(&arn, &tags).await?;
                }
                Resource::Queue { name, attributes } => {
                    let url = self.create_queue(&name, &attributes).await?;
                    self.tag_queue(&url, &name, &tags).await?;
                }
                Resource::Subscription { topic, queue, attributes } => {
                    self.subscribe(&place.topic(&topic), &place.queue(&queue), &attributes).await?;
                }
            }
        }
        Ok(before)
    }

    pub(super) async fn verify_topology(&self, topology: &Topology) -> Result<Vec<Difference>, TopologyError> {
        let topics = self.topic_arns().await?;
        let place = self.find_place(topology, &topics).await?;
        // Where nothing is there, all is missing, whoever it would belong to.
        let place = place.unwrap_or_else(Place::localstack);
        let mut differences = Vec::new();
        for resource in resources(topology, &self.names, &place) {
            let found = match &resource {
                Resource::Topic { name } => match topics.get(name) {
                    Some(arn) => self.topic_tags(arn).await?.map(settings_of),
                    None => None,
                },
                Resource::Queue { name, .. } => match self.find_queue(name).await? {
                    Some(queue) => {
                        let tags = self.queue_tags(&queue.url, name).await?.unwrap_or_default();
                        Some(queue.attributes.into_iter().chain(settings_of(tags)).collect())
                    }
                    None => None,
                },
                Resource::Subscription { topic, queue, .. } => match topics.get(topic) {
                    Some(arn) => self.find_subscription(arn, &place.queue(queue)).await?,
                    None => None,
                },
            };
            let settings = resource.settings(&self.names);
            match found {
                None => differences.push(Difference::missing(resource.to_string(), settings)),
                Some(found) => differences.extend(compare(&resource, &settings, &found)),
            }
        }
        Ok(differences)
    }

    /// By anything that is there. An account without topics may still have some of our queues.
    async fn find_place(
        &self,
        topology: &Topology,
        topics: &HashMap<String, String>,
    ) -> Result<Option<Place>, TopologyError> {
        if let Some(arn) = topics.values().next() {
            return Ok(Place::of(arn));
        }
        for resource in resources(topology, &self.names, &Place::localstack()) {
            let Resource::Queue { name, .. } = resource else { continue };
            if let Some(queue) = self.find_queue(&name).await? {
                return Ok(queue.attributes.get("QueueArn").and_then(|arn| Place::of(arn)));
            }
        }
        Ok(None)
    }

    /// By making something that will be needed.
    async fn learn_place(&self, topology: &Topology) -> Result<Place, TopologyError> {
        let (what, arn) = if let Some(event) = topology.topics().first() {
            let name = self.names.topic(event.as_str());
            let arn = self.create_topic(&name).await?;
            (name, arn)
        } else if let Some(subscriber) = topology.subscribers.first() {
            let name = self.names.queue(&subscriber.consumer);
            self.create_queue(&name, &Attributes::new()).await?;
            let queue = self.find_queue(&name).await?;
            let arn = queue.and_then(|queue| queue.attributes.get("QueueArn").cloned()).unwrap_or_default();
            (name, arn)
        } else {
            return Ok(Place::localstack());
        };
        Place::of(&arn).ok_or_else(|| failed("learn the account", "Create", &what, format!("the ARN is `{arn}`")))
    }
}

fn compare(
    resource: &Resource,
    expected: &BTreeMap<String, String>,
    found: &HashMap<String, String>,
) -> Vec<Difference> {
    let differs =
        |(setting, value): &(&String, &String)| found.get(*setting).map(|text| meaning(text)) != Some(meaning(value));
    let differences = expected
        .iter()
        .filter(differs)
        .map(|(setting, value)| Difference::of(&resource.to_string(), setting, value, found.get(setting).cloned()));
    differences.collect()
}

fn settings_of(tags: HashMap<String, String>) -> HashMap<String, String> {
    tags.into_iter().map(|(name, value)| (tag_setting(&name), value)).collect()
}
