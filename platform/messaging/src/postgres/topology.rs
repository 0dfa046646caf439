//! Making the tables match a [`Topology`], and saying where they don't.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sqlx::{PgConnection, PgTransaction};

use super::PostgresBus;
use crate::{
    BusError, Difference, Subscriber, Topology, TopologyError,
    difference::{INSTALLATION, meaning},
};

/// What has to be there, and one row's worth of it.
pub(super) enum Resource {
    Topic { name: String },
    Queue { name: String, redrive: Option<Redrive> },
    Subscription { topic: String, queue: String, filter_policy: Value },
}

pub(super) struct Redrive {
    pub dead_letter_queue: String,
    pub max_receive_count: i32,
}

pub(super) struct FoundQueue {
    installation: Option<String>,
    pub redrive: Option<Redrive>,
}

const REDRIVE: &str = "RedrivePolicy";
const FILTER: &str = "FilterPolicy";

impl PostgresBus {
    pub(super) async fn apply_topology(&self, topology: &Topology) -> Result<Vec<Difference>, TopologyError> {
        let failed = |error| failed("apply the topology", error);
        let mut tx = self.begin_in_turn().await.map_err(failed)?;
        let installation = self.names.installation();
        let mut before = Vec::new();
        for resource in self.resources(topology) {
            let differences = resource.compare(&mut tx, &installation).await.map_err(failed)?;
            Difference::refuse_what_is_others(&differences)?;
            if !differences.is_empty() {
                let made = resource.make(&mut tx, &installation).await;
                made.map_err(|error| self::failed(&format!("make {resource}"), error))?;
            }
            before.extend(differences);
        }
        tx.commit().await.map_err(failed)?;
        Ok(before)
    }

    pub(super) async fn verify_topology(&self, topology: &Topology) -> Result<Vec<Difference>, TopologyError> {
        let failed = |error| failed("compare the topology", error);
        let mut connection = self.pool.acquire().await.map_err(failed)?;
        let installation = self.names.installation();
        let mut differences = Vec::new();
        for resource in self.resources(topology) {
            differences.extend(resource.compare(&mut connection, &installation).await.map_err(failed)?);
        }
        Ok(differences)
    }

    pub(super) async fn remove_topology(&self, topology: &Topology) -> Result<(), TopologyError> {
        let resources = self.resources(topology);
        self.remove_all(&resources).await.map_err(|error| failed("remove the topology", error))
    }

    pub(super) async fn remove_consumer(&self, subscriber: &Subscriber) -> Result<(), TopologyError> {
        let topology = Topology { subscribers: vec![subscriber.clone()], ..Topology::default() };
        let mut resources = self.resources(&topology);
        resources.retain(|resource| !matches!(resource, Resource::Topic { .. }));
        let what = format!("remove consumer {}", subscriber.consumer);
        self.remove_all(&resources).await.map_err(|error| failed(&what, error))
    }

    async fn remove_all(&self, resources: &[Resource]) -> Result<(), sqlx::Error> {
        let mut tx = self.begin_in_turn().await?;
        // Backwards: a queue goes before the dead-letter queue that it refers to.
        for resource in resources.iter().rev() {
            resource.remove(&mut tx).await?;
        }
        tx.commit().await
    }

    /// Several may change a topology at once, each from what the one before left.
    pub(super) async fn begin_in_turn(&self) -> Result<PgTransaction<'static>, sqlx::Error> {
        let mut tx = self.pool.begin().await?;
        sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended('waypost-topology', 0))").execute(&mut *tx).await?;
        Ok(tx)
    }

    /// In the order in which they can be made.
    pub(super) fn resources(&self, topology: &Topology) -> Vec<Resource> {
        let names = &self.names;
        let topics = topology.topics().into_iter();
        let mut resources: Vec<_> = topics.map(|event| Resource::Topic { name: names.topic(event.as_str()) }).collect();
        for subscriber in &topology.subscribers {
            let (queue, dead_letters) =
                (names.queue(&subscriber.consumer), names.dead_letter_queue(&subscriber.consumer));
            resources.push(Resource::Queue { name: dead_letters.clone(), redrive: None });
            let max_receive_count = i32::try_from(subscriber.settings.max_receive_count).unwrap_or(i32::MAX);
            let redrive = Some(Redrive { dead_letter_queue: dead_letters, max_receive_count });
            resources.push(Resource::Queue { name: queue.clone(), redrive });
            resources.extend(subscriber.events.iter().map(|event| Resource::Subscription {
                topic: names.topic(event.as_str()),
                queue: queue.clone(),
                filter_policy: json!({ "type": [event.as_str()] }),
            }));
        }
        resources
    }
}

impl Resource {
    /// What is not as it should be; one difference where the whole is missing.
    async fn compare(&self, connection: &mut PgConnection, installation: &str) -> Result<Vec<Difference>, sqlx::Error> {
        let settings = self.settings(installation);
        let Some(found) = self.found(connection).await? else {
            return Ok(vec![Difference::missing(self.to_string(), settings)]);
        };
        let differs = |(setting, value): &(&String, &String)| {
            found.get(setting.as_str()).map(|text| meaning(text)) != Some(meaning(value))
        };
        let differences = settings.iter().filter(differs).map(|(setting, value)| {
            Difference::of(&self.to_string(), setting, value, found.get(setting.as_str()).cloned())
        });
        Ok(differences.collect())
    }

    fn settings(&self, installation: &str) -> BTreeMap<String, String> {
        let own = match self {
            Self::Topic { .. } => vec![(INSTALLATION, installation.to_owned())],
            Self::Queue { redrive, .. } => {
                vec![(INSTALLATION, installation.to_owned()), (REDRIVE, redrive_policy(redrive.as_ref()))]
            }
            Self::Subscription { filter_policy, .. } => vec![(FILTER, filter_policy.to_string())],
        };
        own.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// As it is, where it is there.
    async fn found(
        &self,
        connection: &mut PgConnection,
    ) -> Result<Option<BTreeMap<&'static str, String>>, sqlx::Error> {
        let settings = match self {
            Self::Topic { name } => {
                let found = sqlx::query!("SELECT installation FROM bus.topics WHERE name = $1", name);
                found.fetch_optional(connection).await?.map(|found| vec![(INSTALLATION, found.installation)])
            }
            Self::Queue { name, .. } => {
                find_queue(name, connection).await?.map(|FoundQueue { installation, redrive }| {
                    vec![(INSTALLATION, installation), (REDRIVE, Some(redrive_policy(redrive.as_ref())))]
                })
            }
            Self::Subscription { topic, queue, .. } => {
                let found = sqlx::query!(
                    "SELECT filter_policy::text FROM bus.subscriptions WHERE topic = $1 AND queue = $2",
                    topic,
                    queue
                );
                found.fetch_optional(connection).await?.map(|found| vec![(FILTER, found.filter_policy)])
            }
        };
        let set = |(name, value): (&'static str, Option<String>)| value.map(|value| (name, value));
        Ok(settings.map(|settings| settings.into_iter().filter_map(set).collect()))
    }

    async fn make(&self, connection: &mut PgConnection, installation: &str) -> Result<(), sqlx::Error> {
        match self {
            Self::Topic { name } => {
                sqlx::query!(
                    "INSERT INTO bus.topics (name, installation) VALUES ($1, $2)
                     ON CONFLICT (name) DO UPDATE SET installation = EXCLUDED.installation",
                    name,
                    installation
                )
                .execute(connection)
                .await?;
            }
            Self::Queue { name, redrive } => {
                let dead_letter_queue = redrive.as_ref().map(|redrive| redrive.dead_letter_queue.as_str());
                let max_receive_count = redrive.as_ref().map(|redrive| redrive.max_receive_count);
                sqlx::query!("SELECT bus.create_queue($1, $2, $3)", name, dead_letter_queue, max_receive_count)
                    .execute(&mut *connection)
                    .await?;
                sqlx::query!("UPDATE bus.queues SET installation = $2 WHERE name = $1", name, installation)
                    .execute(connection)
                    .await?;
            }
            Self::Subscription { topic, queue, filter_policy } => {
                sqlx::query!(
                    "INSERT INTO bus.subscriptions (topic, queue, filter_policy) VALUES ($1, $2, $3::text::jsonb)
                     ON CONFLICT (topic, queue) DO UPDATE SET filter_policy = EXCLUDED.filter_policy",
                    topic,
                    queue,
                    filter_policy.to_string()
                )
                .execute(connection)
                .await?;
            }
        }
        Ok(())
    }

    async fn remove(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        match self {
            Self::Topic { name } => {
                sqlx::query!("DELETE FROM bus.topics WHERE name = $1", name).execute(connection).await?;
            }
            Self::Queue { name, .. } => {
                sqlx::query!("SELECT bus.drop_queue($1)", name).fetch_one(connection).await?;
            }
            // Goes with its queue.
            Self::Subscription { .. } => {}
        }
        Ok(())
    }
}

impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Topic { name } => write!(f, "topic {name}"),
            Self::Queue { name, .. } => write!(f, "queue {name}"),
            Self::Subscription { topic, queue, .. } => write!(f, "subscription {topic} → {queue}"),
        }
    }
}

/// `None`: not there, or without its table.
pub(super) async fn find_queue(name: &str, connection: &mut PgConnection) -> Result<Option<FoundQueue>, sqlx::Error> {
    let found = sqlx::query!(
        "SELECT installation, dead_letter_queue, max_receive_count
           FROM bus.queues
          WHERE name = $1 AND to_regclass(format('pgmq.%I', 'q_' || name)) IS NOT NULL",
        name
    );
    let found = found.fetch_optional(connection).await?;
    Ok(found.map(|found| {
        let redrive = found.dead_letter_queue.zip(found.max_receive_count);
        let redrive =
            redrive.map(|(dead_letter_queue, max_receive_count)| Redrive { dead_letter_queue, max_receive_count });
        FoundQueue { installation: found.installation, redrive }
    }))
}

fn redrive_policy(redrive: Option<&Redrive>) -> String {
    let Some(Redrive { dead_letter_queue, max_receive_count }) = redrive else { return "none".to_owned() };
    json!({ "deadLetterQueue": dead_letter_queue, "maxReceiveCount": max_receive_count }).to_string()
}

pub(super) fn failed(what: &str, error: sqlx::Error) -> TopologyError {
    TopologyError { what: what.to_owned(), source: BusError::new("changing topics and queues", "bus_db", error) }
}
