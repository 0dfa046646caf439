//! What carries the installation's mark and is not in its topology.

use std::{collections::BTreeSet, time::Duration};

use sqlx::PgConnection;

use super::{
    PostgresBus,
    topology::{Resource, failed},
};
use crate::{
    Counts, Extra, ExtraResource, Kept, Prune, Topology, TopologyError,
    prune::{Found, FoundQueue, FoundSubscription, FoundTopic, decide, keep_what_serves},
};

impl PostgresBus {
    pub(super) async fn find_extras(&self, topology: &Topology, prune: Prune) -> Result<Vec<Extra>, TopologyError> {
        let failed = |error| failed("look for what the topology does not have", error);
        let mut connection = self.pool.acquire().await.map_err(failed)?;
        Ok(decide(self.find_ours(topology, &mut connection).await.map_err(failed)?, &self.names, prune))
    }

    pub(super) async fn prune_extras(&self, topology: &Topology, prune: Prune) -> Result<Vec<Extra>, TopologyError> {
        let mut extras = self.find_extras(topology, prune).await?;
        for position in 0..extras.len() {
            if extras[position].kept.is_some() {
                continue;
            }
            let resource = extras[position].resource.clone();
            let removed = self.remove_extra(&resource, prune).await;
            let removed = removed.map_err(|error| failed(&format!("remove {resource}"), error))?;
            if let Err(counts) = removed {
                extras[position].kept = Some(Kept::HoldsMessages(counts));
                keep_what_serves(&mut extras);
            }
        }
        Ok(extras)
    }

    /// Each in a transaction of its own: whoever publishes to several queues never waits for one lock while it holds
    /// another that is wanted here.
    async fn remove_extra(&self, resource: &ExtraResource, prune: Prune) -> Result<Result<(), Counts>, sqlx::Error> {
        let mut tx = self.begin_in_turn().await?;
        match resource {
            ExtraResource::Subscription { topic, queue } => {
                sqlx::query!("DELETE FROM bus.subscriptions WHERE topic = $1 AND queue = $2", topic, queue)
                    .execute(&mut *tx)
                    .await?;
            }
            ExtraResource::Queue { name } if prune.with_messages || self.names.is_temporary(name) => {
                sqlx::query!("SELECT bus.drop_queue($1)", name).fetch_one(&mut *tx).await?;
            }
            ExtraResource::Queue { name } => {
                let dropped = sqlx::query_scalar!("SELECT bus.drop_empty_queue($1)", name).fetch_one(&mut *tx).await?;
                if dropped == Some(false) {
                    return Ok(Err(counts(name, &mut tx).await?));
                }
            }
            ExtraResource::Topic { name } => {
                sqlx::query!("DELETE FROM bus.topics WHERE name = $1", name).execute(&mut *tx).await?;
            }
        }
        tx.commit().await?;
        Ok(Ok(()))
    }

    async fn find_ours(&self, topology: &Topology, connection: &mut PgConnection) -> Result<Found, sqlx::Error> {
        let (mut topics, mut queues, mut subscriptions) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for resource in self.resources(topology) {
            match resource {
                Resource::Topic { name } => drop(topics.insert(name)),
                Resource::Queue { name, .. } => drop(queues.insert(name)),
                Resource::Subscription { topic, queue, .. } => drop(subscriptions.insert((topic, queue))),
            }
        }
        let installation = self.names.installation();
        let mut found = Found::default();
        let ours = sqlx::query!(
            r#"SELECT name, extract(epoch FROM now() - made_at)::float8 AS "age!",
                      to_regclass(format('pgmq.%I', 'q_' || name)) IS NOT NULL AS "has_table!"
                 FROM bus.queues WHERE installation = $1 ORDER BY name"#,
            installation
        );
        for row in ours.fetch_all(&mut *connection).await? {
            if queues.contains(&row.name) {
                continue;
            }
            let counts = match row.has_table {
                true => counts(&row.name, connection).await?,
                false => Counts { visible: 0, in_flight: 0 },
            };
            let age = Duration::try_from_secs_f64(row.age).unwrap_or_default();
            found.queues.push(FoundQueue { name: row.name, counts, age });
        }
        let ours = sqlx::query!(
            r#"SELECT name, (SELECT count(*)
                               FROM bus.subscriptions JOIN bus.queues ON queues.name = queue
                              WHERE topic = topics.name AND queues.installation IS DISTINCT FROM $1) AS "foreign!"
                 FROM bus.topics WHERE installation = $1 ORDER BY name"#,
            installation
        );
        for row in ours.fetch_all(&mut *connection).await? {
            if !topics.contains(&row.name) {
                let foreign = usize::try_from(row.foreign).unwrap_or(usize::MAX);
                found.topics.push(FoundTopic { name: row.name, foreign });
            }
        }
        let ours = sqlx::query!(
            "SELECT topic, queue
               FROM bus.subscriptions
               JOIN bus.topics ON topics.name = topic AND topics.installation = $1
               JOIN bus.queues ON queues.name = queue AND queues.installation = $1
              ORDER BY topic, queue",
            installation
        );
        for row in ours.fetch_all(connection).await? {
            if !subscriptions.contains(&(row.topic.clone(), row.queue.clone())) {
                found.subscriptions.push(FoundSubscription { topic: row.topic, queue: row.queue });
            }
        }
        Ok(found)
    }
}

pub(super) async fn counts(queue: &str, connection: &mut PgConnection) -> Result<Counts, sqlx::Error> {
    let counted = sqlx::query!(r#"SELECT visible AS "visible!", in_flight AS "in_flight!" FROM bus.counts($1)"#, queue);
    let row = counted.fetch_one(connection).await?;
    Ok(Counts { visible: row.visible.unsigned_abs(), in_flight: row.in_flight.unsigned_abs() })
}
