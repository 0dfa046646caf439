//! The processes of a run, and who starts them again: after a kill when the plan says so, and as an orchestrator would
//! where one ends by itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::Context;
use tokio::{
    process::{Child, Command},
    time::Instant,
};

use crate::{
    killing,
    plan::{Role, name},
};

pub struct Processes {
    commands: Commands,
    slots: BTreeMap<(Role, usize), Slot>,
    pub kills: u32,
}

/// How each is started.
pub struct Commands {
    pub waypost: PathBuf,
    /// Of this program, with which it makes events.
    pub produce: Vec<String>,
    pub environment: Vec<(String, String)>,
    pub logs: PathBuf,
}

enum Slot {
    Running(Child),
    StartsAt(Instant),
}

/// For a process that ended by itself, as orchestrators have it.
const AGAIN: Duration = Duration::from_secs(1);
const STOPPED: Duration = Duration::from_secs(60);

impl Processes {
    pub fn new(commands: Commands) -> Self {
        let roles = Role::ALL.into_iter().flat_map(|role| (0..role.processes()).map(move |number| (role, number)));
        let slots = roles.map(|slot| (slot, Slot::StartsAt(Instant::now()))).collect();
        Self { commands, slots, kills: 0 }
    }

    /// Starts what is to be started by now. Answers who ended though nobody killed them.
    pub fn tend(&mut self) -> anyhow::Result<Vec<String>> {
        let mut ended = Vec::new();
        for ((role, number), slot) in &mut self.slots {
            if let Slot::Running(child) = slot
                && let Some(status) = child.try_wait()?
            {
                ended.push(format!("{} ended by itself, with {status}", name(*role, *number)));
                *slot = Slot::StartsAt(Instant::now() + AGAIN);
            }
            if let Slot::StartsAt(due) = slot
                && *due <= Instant::now()
            {
                *slot = Slot::Running(self.commands.start(*role, *number)?);
            }
        }
        Ok(ended)
    }

    /// kill -9. Answers whether it was there to be killed.
    pub async fn kill(&mut self, role: Role, number: usize, pause: Duration) -> anyhow::Result<bool> {
        let Some(slot) = self.slots.get_mut(&(role, number)) else { return Ok(false) };
        let Slot::Running(child) = slot else { return Ok(false) };
        if child.try_wait()?.is_some() {
            return Ok(false);
        }
        child.kill().await.with_context(|| format!("could not kill {}", name(role, number)))?;
        *slot = Slot::StartsAt(Instant::now() + pause);
        self.kills += 1;
        Ok(true)
    }

    /// SIGTERM to all of some roles. Each has to finish what is in hand and exit 0; answers what did not.
    pub async fn stop(&mut self, roles: &[Role]) -> anyhow::Result<Vec<String>> {
        let stopping: Vec<_> = self.slots.keys().filter(|(role, _)| roles.contains(role)).copied().collect();
        let stopping = stopping.into_iter().filter_map(|slot| Some((slot, self.slots.remove(&slot)?)));
        let mut running = Vec::new();
        for ((role, number), slot) in stopping {
            if let Slot::Running(child) = slot {
                running.push((name(role, number), child));
            }
        }
        let ids: BTreeSet<_> = running.iter().filter_map(|(_, child)| child.id()).collect();
        killing::signal("-TERM", &ids)?;
        let mut wrong = Vec::new();
        for (name, mut child) in running {
            match tokio::time::timeout(STOPPED, child.wait()).await {
                Ok(status) => {
                    let status = status?;
                    if !status.success() {
                        wrong.push(format!("{name} was asked to stop and ended with {status}"));
                    }
                }
                Err(_) => wrong.push(format!("{name} did not stop in {STOPPED:?}")),
            }
        }
        Ok(wrong)
    }
}

impl Commands {
    fn start(&self, role: Role, number: usize) -> anyhow::Result<Child> {
        let name = name(role, number);
        let log = self.logs.join(format!("{name}.log"));
        let log = File::options().create(true).append(true).open(&log);
        let log = log.with_context(|| format!("could not write the log of {name}"))?;
        self.command(role, number)?
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            // A Ctrl-C is this program's, which then ends all of them.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("could not start {name}"))
    }

    fn command(&self, role: Role, number: usize) -> anyhow::Result<Command> {
        let mut command = match role {
            Role::Producer => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("produce").args(&self.produce).args(["--number", &number.to_string()]);
                command
            }
            Role::Relay => self.waypost(&["run", "relay", "--service", "auth"]),
            Role::Worker => self.waypost(&["run", "user-worker"]),
        };
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value))).envs(SETTINGS);
        Ok(command)
    }

    fn waypost(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.waypost);
        command.args(arguments);
        command
    }

    /// A command of `waypost` that runs to its end, past whatever is done to the others.
    pub async fn run(waypost: &Path, arguments: &[&str], environment: &[(String, String)]) -> anyhow::Result<()> {
        let mut command = Command::new(waypost);
        let variables = environment.iter().map(|(name, value)| (name, value));
        let output = command.env_clear().args(arguments).envs(variables).kill_on_drop(true).output().await;
        let output = output.with_context(|| format!("could not run {}", waypost.display()))?;
        if !output.status.success() {
            anyhow::bail!("waypost {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }
}

/// What was in the hands of a killed process comes back soon, and stopping doesn't wait for a long poll. Not sooner: a
/// worker that holds a thousand messages has to extend all their leases in time, also where the broker was away for
/// seconds and two cores do everything. Leases that run out over and over spend the receives of healthy messages.
const SETTINGS: [(&str, &str); 6] = [
    ("RELAY_ADMIN_LISTEN", "127.0.0.1:0"),
    ("WORKER_ADMIN_LISTEN", "127.0.0.1:0"),
    ("RELAY_LEASE_SECONDS", "10"),
    ("WORKER_LEASE_SECONDS", "20"),
    ("WORKER_WAIT_SECONDS", "1"),
    ("WORKER_RETRY_BASE_MILLIS", "200"),
];
