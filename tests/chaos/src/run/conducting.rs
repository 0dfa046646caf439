//! Doing what is on the plan when it is due, and waiting until everything is settled.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, watch},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    faults,
    plan::{Fault, Plan, Role, Stage, What},
    processes::Processes,
    proxy::Proxy,
    servers::Servers,
    story::Story,
    truth::{Progress, Waiting, World},
};

pub struct Conductor {
    plan: Plan,
    world: Arc<World>,
    servers: Arc<Servers>,
    proxy: Arc<Proxy>,
    processes: Processes,
    story: Story,
    to_come: Vec<Fault>,
    /// Faults that take their time.
    under_way: JoinSet<anyhow::Result<()>>,
    /// Held by who restarts a server.
    restarting: Arc<Mutex<()>>,
    progress: watch::Receiver<Progress>,
    /// Keeps `progress` up to date, past servers that are down. Ends with this.
    _looking: JoinSet<()>,
}

/// How long nothing may move before the rest is given up. Longer than anything in a run waits for anything.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(40);
const LOOK: Duration = Duration::from_secs(3);
/// The queue has to be found empty so often: what is being delivered or comes back shows within that time.
const QUIET_LOOKS: u32 = 5;
const QUIET_EVERY: Duration = Duration::from_millis(300);

impl Conductor {
    pub fn new(
        plan: Plan,
        world: Arc<World>,
        servers: Arc<Servers>,
        proxy: Arc<Proxy>,
        processes: Processes,
        story: Story,
    ) -> Self {
        let (sender, progress) = watch::channel(Progress::default());
        let mut looking = JoinSet::new();
        looking.spawn(look_into_auth_db(world.clone(), sender.clone()));
        looking.spawn(look_into_user_db(world.clone(), sender));
        story.begin();
        Self {
            to_come: plan.faults.clone(),
            plan,
            world,
            servers,
            proxy,
            processes,
            story,
            under_way: JoinSet::new(),
            restarting: Arc::default(),
            progress,
            _looking: looking,
        }
    }

    /// Goes on until all faults were done and everything is settled; answers what was wrong where that never came.
    pub async fn conduct(&mut self) -> anyhow::Result<Option<String>> {
        let (mut moved, mut last, mut quiet) = (Instant::now(), None, 0);
        let mut waiting = Waiting::default();
        loop {
            self.tend()?;
            let now = *self.progress.borrow();
            self.do_what_is_due(now).await?;
            self.story.show(now, self.to_come.len());
            if self.is_through(now) {
                waiting = self.world.waiting().await?;
                quiet = if waiting.queued == 0 { quiet + 1 } else { 0 };
                if quiet >= QUIET_LOOKS {
                    return Ok(None);
                }
                sleep(QUIET_EVERY).await;
            }
            let state = Some((now, waiting, self.to_come.len(), self.under_way.len()));
            if state != last {
                (moved, last) = (Instant::now(), state);
            } else if moved.elapsed() > PATIENCE {
                waiting = self.world.waiting().await?;
                let left = self.to_come.len() + self.under_way.len();
                return Ok(Some(format!(
                    "nothing moved for {PATIENCE:?}: {now:?}, {waiting:?}, {left} faults to come"
                )));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    pub async fn stop(&mut self, roles: &[Role]) -> anyhow::Result<Vec<String>> {
        self.processes.stop(roles).await
    }

    pub fn end(self) -> (Plan, Arc<World>, u32) {
        self.story.say(&format!("{} answers of LocalStack got lost", self.proxy.swallowed()));
        self.story.end();
        (self.plan, self.world, self.processes.kills)
    }

    fn tend(&mut self) -> anyhow::Result<()> {
        for ended in self.processes.tend()? {
            self.story.say(&ended);
        }
        while let Some(done) = self.under_way.try_join_next() {
            done??;
        }
        Ok(())
    }

    /// Nothing is to come, and whatever is left is in the queue.
    fn is_through(&self, now: Progress) -> bool {
        let Progress { committed, published, applied } = now;
        let is_done = self.to_come.is_empty() && self.under_way.is_empty();
        is_done && committed.min(published) >= self.plan.events && applied >= self.plan.healthy()
    }

    async fn do_what_is_due(&mut self, now: Progress) -> anyhow::Result<()> {
        let is_due = |fault: &Fault| fault.due.count <= reached(now, fault.due.stage);
        let due: Vec<_> = self.to_come.extract_if(.., |fault| is_due(fault)).collect();
        for fault in due {
            if self.does(fault.what).await? {
                self.story.say(&fault.to_string());
            } else {
                self.to_come.push(fault);
            }
        }
        Ok(())
    }

    /// Begins a fault. Answers whether it could: who is dead already can't be killed.
    async fn does(&mut self, what: What) -> anyhow::Result<bool> {
        let (world, plan, proxy) = (self.world.clone(), self.plan.clone(), self.proxy.clone());
        match what {
            What::Kill { role, number, pause } => return self.processes.kill(role, number, pause).await,
            What::RestartPostgres(cluster) => {
                let (servers, restarting) = (self.servers.clone(), self.restarting.clone());
                self.under_way.spawn(async move {
                    let _one_at_a_time = restarting.lock().await;
                    let restart = move || servers.kill(cluster.server()).and_then(|()| servers.up());
                    tokio::task::spawn_blocking(restart).await?
                });
            }
            What::Cut => proxy.cut(),
            What::Refuse(during) => {
                self.under_way.spawn(async move { proxy.refuse(during).await });
            }
            What::Swallow { request, count } => proxy.swallow(request, count),
            What::Delay { each, during } => proxy.hold_up(each, during),
            What::Duplicate { through, count } => {
                let part = u64::from(count);
                self.under_way.spawn(async move { faults::duplicate(&world, &plan, part, through, count).await });
            }
            What::Garbage { up_to } => {
                self.under_way.spawn(async move { faults::garbage(&world, &plan, up_to).await });
            }
        }
        Ok(true)
    }
}

fn reached(now: Progress, stage: Stage) -> u32 {
    match stage {
        Stage::Committed => now.committed,
        Stage::Published => now.published,
        Stage::Applied => now.applied,
    }
}

/// Each database by itself: one that is down doesn't hide how far the events are in the other.
async fn look_into_auth_db(world: Arc<World>, progress: watch::Sender<Progress>) {
    loop {
        if let Ok(Ok((committed, published))) = timeout(LOOK, world.in_auth_db()).await {
            progress.send_modify(|now| (now.committed, now.published) = (committed, published));
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn look_into_user_db(world: Arc<World>, progress: watch::Sender<Progress>) {
    loop {
        if let Ok(Ok(applied)) = timeout(LOOK, world.in_user_db()).await {
            progress.send_modify(|now| now.applied = applied);
        }
        sleep(LOOK_EVERY).await;
    }
}
