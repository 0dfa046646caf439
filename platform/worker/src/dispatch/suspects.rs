//! Who may have killed a worker.
//!
//! A message that was received three times or more since its last failure on record, if there is one, is a suspect: its
//! workers may have died of it. Suspects run alone in the process, with earlier work acknowledged. The killer itself runs
//! into the queue's receive limit.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    dispatch::work::Work,
    dispatch::{Addressed, Proven},
    inbox,
};

/// As many receives need an explanation.
pub(crate) const SUSPECT_FROM: u32 = 3;

/// Looks at what was received often, until `stop`: whether recorded failures explain it. Apart from the loop that
/// dispatches, because it asks the database, which may not answer.
pub(crate) async fn acquit(
    work: Arc<Work>,
    mut unproven: mpsc::UnboundedReceiver<Addressed>,
    proven: mpsc::UnboundedSender<Proven>,
    stop: CancellationToken,
) {
    while let Some(Some(first)) = stop.run_until_cancelled(unproven.recv()).await {
        let mut arrived = vec![first];
        while let Ok(next) = unproven.try_recv() {
            arrived.push(next);
        }
        for found in look_up(&work, arrived).await {
            if let Err(refused) = proven.send(found) {
                let (Proven::Ordinary(addressed) | Proven::Suspect(addressed)) = refused.0;
                hand_back(&work, vec![addressed]).await;
            }
        }
    }
    unproven.close();
    let mut rest = Vec::new();
    while let Some(addressed) = unproven.recv().await {
        rest.push(addressed);
    }
    hand_back(&work, rest).await;
}

async fn look_up(work: &Work, arrived: Vec<Addressed>) -> Vec<Proven> {
    let keys: Vec<_> = arrived.iter().map(|(_, delivery)| delivery.key.as_uuid()).collect();
    let ids: Vec<_> = arrived.iter().map(|(_, delivery)| delivery.held.message.id.0.clone()).collect();
    let explained = match inbox::explained_receives(&work.applier.transactions.pool, &keys, &ids).await {
        Ok(explained) => explained,
        Err(error) => {
            tracing::warn!(%error, "could not look for recorded failures; running messages alone");
            return arrived.into_iter().map(Proven::Suspect).collect();
        }
    };
    let judged = arrived.into_iter().map(|addressed| {
        let message = &addressed.1.held.message;
        let explained = explained.get(&message.id.0).copied().unwrap_or(0);
        match message.receive_count.saturating_sub(explained) < SUSPECT_FROM {
            true => Proven::Ordinary(addressed),
            false => Proven::Suspect(addressed),
        }
    });
    judged.collect()
}

async fn hand_back(work: &Work, addressed: Vec<Addressed>) {
    let held = addressed.into_iter().map(|(_, delivery)| (delivery.held, Duration::ZERO));
    work.settlements.settler.release(held.collect()).await;
}
