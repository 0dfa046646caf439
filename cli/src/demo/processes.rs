//! The services of a run: processes of their own, over real HTTP.

use std::{
    fs::File,
    net::{Ipv4Addr, TcpListener},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, bail};
use reqwest::Client;
use tokio::{
    process::{Child, Command},
    time::Instant,
};

use super::{scratch::Scratch, story::Story};

pub struct Services<'a> {
    pub auth_url: String,
    pub product_url: String,
    pub user_url: String,
    scratch: &'a Scratch,
    /// The APIs, the mailer, and the worker that closes erasures.
    others: Vec<Service>,
    workers: Vec<Service>,
    started: u32,
}

/// Killed when dropped, so that nothing outlives the demo.
struct Service {
    name: String,
    child: Child,
}

const READY: Duration = Duration::from_secs(60);
const STOPPED: Duration = Duration::from_secs(40);

impl<'a> Services<'a> {
    pub async fn start(scratch: &'a Scratch, story: &Story) -> anyhow::Result<Self> {
        let mut others = Vec::new();
        let mut urls = Vec::new();
        for (name, prefix, about) in [
            ("auth-service", "AUTH", ", with its relay"),
            ("product-service", "PRODUCT", ", with its relay"),
            ("user-service", "USER", ""),
        ] {
            let (port, admin) = (free_port()?, free_port()?);
            let (listen, admin_listen) = (format!("{prefix}_LISTEN"), format!("{prefix}_ADMIN_LISTEN"));
            let listens = [(admin_listen.as_str(), admin), (&listen, port)];
            let mut settings = Vec::new();
            // The first is auth-service.
            if let Some(auth) = urls.first() {
                settings.push(("AUTH_JWKS_URL", format!("{auth}/.well-known/jwks.json")));
            }
            let service = start(scratch, name, name, &listens, &settings).await?;
            story.say(&format!("{name}, process {}, on port {port}{about}", service.id()));
            others.push(service);
            urls.push(format!("http://127.0.0.1:{port}"));
        }
        for (name, listen) in [("mailer", "MAILER_ADMIN_LISTEN"), ("auth-worker", "AUTH_WORKER_ADMIN_LISTEN")] {
            let service = start(scratch, name, name, &[(listen, free_port()?)], &[]).await?;
            story.say(&format!("{name}, process {}", service.id()));
            others.push(service);
        }
        let Ok([auth_url, product_url, user_url]) = <[String; 3]>::try_from(urls) else {
            bail!("not every API is there")
        };
        let mut services = Self { auth_url, product_url, user_url, scratch, others, workers: Vec::new(), started: 0 };
        for _ in 0..2 {
            services.start_worker(story).await?;
        }
        Ok(services)
    }

    async fn start_worker(&mut self, story: &Story) -> anyhow::Result<()> {
        self.started += 1;
        let name = format!("user-worker-{}", self.started);
        let port = free_port()?;
        let worker = start(self.scratch, &name, "user-worker", &[("WORKER_ADMIN_LISTEN", port)], &[]).await?;
        story.say(&format!("{name}, process {}", worker.id()));
        self.workers.push(worker);
        Ok(())
    }

    /// kill -9: no drain, no acknowledgement, nothing.
    pub async fn kill_a_worker(&mut self, in_hand: u64, story: &Story) -> anyhow::Result<()> {
        let Some(mut worker) = self.workers.pop() else { bail!("there is no worker to kill") };
        let id = worker.id();
        worker.child.kill().await?;
        let name = &worker.name;
        story.say(&format!("kill -9 of {name}, process {id}, while {in_hand} messages were in workers' hands"));
        story.say("its share comes back when its lease ends, six seconds after it was received");
        Ok(())
    }

    pub async fn restart_worker(&mut self, story: &Story) -> anyhow::Result<()> {
        self.start_worker(story).await
    }

    /// Writes a file for a tool, and answers where it is.
    pub fn file(&self, name: &str, text: &str) -> anyhow::Result<String> {
        let path = self.scratch.logs.join(name);
        std::fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))?;
        Ok(path.display().to_string())
    }

    /// What a tool of this binary prints; what it says to people, where it fails.
    pub async fn tool(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = command(self.scratch, arguments)?.stdin(Stdio::null()).output().await?;
        if !output.status.success() {
            bail!("waypost {} failed: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// With the very command an operator would use.
    pub async fn replay_everything(&self, story: &Story) -> anyhow::Result<()> {
        story.say(&format!("$ waypost dlq replay --all-matching --execute --reason '{MENDED}'"));
        let output = command(self.scratch, &["dlq", "replay", "--all-matching", "--execute", "--reason", MENDED])?
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .await?;
        for said in [&output.stdout, &output.stderr] {
            for line in String::from_utf8_lossy(said).lines() {
                story.say(&format!("  {line}"));
            }
        }
        if !output.status.success() {
            bail!("the replay failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// SIGTERM to everything; each has to drain and exit 0.
    pub async fn stop(self, story: &Story) -> anyhow::Result<()> {
        for mut service in self.workers.into_iter().chain(self.others) {
            let asked = Instant::now();
            terminate(service.id()).await?;
            let status = tokio::time::timeout(STOPPED, service.child.wait()).await;
            let status = status.with_context(|| format!("{} did not stop in {STOPPED:?}", service.name))??;
            if !status.success() {
                bail!("{} ended with {status}", service.name);
            }
            story.say(&format!("{} drained and ended after {:.1} s", service.name, asked.elapsed().as_secs_f64()));
        }
        Ok(())
    }
}

impl Service {
    fn id(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }
}

const MENDED: &str = "the constraint is gone";

/// Where it is to listen, by variables: first where it says whether it is ready.
async fn start(
    scratch: &Scratch,
    name: &str,
    process: &str,
    listens: &[(&str, u16)],
    settings: &[(&str, String)],
) -> anyhow::Result<Service> {
    let log = scratch.logs.join(format!("{name}.log"));
    let file = File::create(&log).with_context(|| format!("could not write {}", log.display()))?;
    let child = command(scratch, &["run", process])?
        .envs(listens.iter().map(|(listen, port)| (listen, format!("127.0.0.1:{port}"))))
        .envs(settings.iter().map(|(variable, value)| (variable, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(file)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("could not start {name}"))?;
    let mut service = Service { name: name.to_owned(), child };
    let ready = format!("http://127.0.0.1:{}/readyz", listens.first().map_or(0, |(_, port)| *port));
    let (client, deadline) = (Client::new(), Instant::now() + READY);
    loop {
        if client.get(&ready).send().await.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(service);
        }
        let ended = service.child.try_wait()?;
        if ended.is_some() || Instant::now() > deadline {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let tail: Vec<_> = text.lines().rev().take(10).collect();
            let tail: Vec<_> = tail.into_iter().rev().collect();
            bail!("{name} was not ready within {READY:?}; the end of {}:\n{}", log.display(), tail.join("\n"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn command(scratch: &Scratch, arguments: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments).envs(scratch.environment());
    Ok(command)
}

/// The program is not allowed unsafe code, and the signal is one `kill` away.
async fn terminate(id: u32) -> anyhow::Result<()> {
    let status = Command::new("kill").args(["-TERM", &id.to_string()]).status().await.context("could not run kill")?;
    if status.success() { Ok(()) } else { bail!("could not signal process {id}") }
}

/// Free a moment ago. A process that finds it taken after all says so, and the demo with it.
fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
