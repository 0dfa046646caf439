//! Servers of one's own, which may be killed: `./dev` with another state folder, on other ports.

use std::{
    collections::BTreeSet,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{Context, bail};
use serde_json::Value;
use uuid::Uuid;

use crate::killing::kill_with_children;

/// Wiped when dropped, also by a panic, unless they are [kept](Servers::keep).
#[derive(Debug)]
pub struct Servers {
    state: PathBuf,
    offset: u16,
    up: &'static [&'static str],
    is_kept: AtomicBool,
}

/// Away from those that people choose, and with all ports below those that the kernel gives away.
const OFFSETS: std::ops::Range<u16> = 11_030..22_000;
/// In a folder that nobody wipes but people.
const KEPT: &str = "kept-for-a-look";
/// Taken by no server of any offset: those are multiples of ten, and no server's port differs from it by one.
const SPARE_PORT: u16 = 4_567;

impl Servers {
    /// PostgreSQL alone. `name` goes into the state folder's.
    pub fn postgresql(name: &str) -> anyhow::Result<Self> {
        Self::make(name, &["up", "--infra"])
    }

    /// PostgreSQL, and LocalStack for topics and queues.
    pub fn with_localstack(name: &str) -> anyhow::Result<Self> {
        Self::make(name, &["up", "--localstack", "--infra"])
    }

    /// Finds a place for them.
    fn make(name: &str, up: &'static [&'static str]) -> anyhow::Result<Self> {
        let before_the_id = format!("waypost-{name}-");
        wipe_left_overs(&before_the_id);
        let own = format!("{before_the_id}{}-{}", std::process::id(), &Uuid::new_v4().simple().to_string()[..12]);
        let state = Path::new("/var/tmp").join(own);
        let first = (std::process::id() % 1_000) as u16 * 10;
        for offset in (OFFSETS.start + first..OFFSETS.end).step_by(10) {
            let servers = Self { state: state.clone(), offset, up, is_kept: AtomicBool::new(true) };
            if servers.ports_are_free()? {
                servers.is_kept.store(false, Ordering::SeqCst);
                return Ok(servers);
            }
        }
        bail!("there are no free ports for servers");
    }

    /// Starts what does not run.
    pub fn up(&self) -> anyhow::Result<()> {
        self.dev(self.up).map(drop)
    }

    /// kill -9 of one of them and whatever it forked. [`Self::up`] brings it back.
    pub fn kill(&self, name: &str) -> anyhow::Result<()> {
        let status = self.status()?;
        let server = status.iter().find(|server| server["name"] == name);
        let id = server.and_then(process_id).with_context(|| format!("there is no server `{name}` to kill"))?;
        kill_with_children(&BTreeSet::from([id])).with_context(|| format!("could not kill {name}"))?;
        Ok(())
    }

    /// What `./dev env` tells a shell.
    pub fn environment(&self) -> anyhow::Result<Vec<(String, String)>> {
        let lines = self.dev(&["env"])?;
        let variables = lines.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
        Ok(variables.map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned())).collect())
    }

    /// The processes that `./dev` has started.
    pub fn ids(&self) -> anyhow::Result<BTreeSet<u32>> {
        Ok(self.status()?.iter().filter_map(process_id).collect())
    }

    /// The folder with everybody's logs.
    pub fn logs(&self) -> PathBuf {
        self.state.join("logs")
    }

    /// A port that no server has, and that the kernel gives nobody.
    pub fn spare_port(&self) -> u16 {
        SPARE_PORT + self.offset
    }

    /// Leaves everything as it is, for a look. Answers the words before `./dev` that make it mean these servers.
    pub fn keep(&self) -> anyhow::Result<String> {
        fs::create_dir_all(&self.state)?;
        fs::write(self.state.join(KEPT), "").context("could not mark the state folder as kept")?;
        self.is_kept.store(true, Ordering::SeqCst);
        Ok(format!("WAYPOST_STATE_DIR={} WAYPOST_PORT_OFFSET={}", self.state.display(), self.offset))
    }

    pub fn tell_ends_of_logs(&self) {
        for log in fs::read_dir(self.logs()).into_iter().flatten().flatten() {
            let text = fs::read(log.path()).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            // Entries begin with their time; a statement takes many lines more.
            let entries = text.lines().filter(|line| line.starts_with("20"));
            let entries: Vec<String> = entries.map(|line| line.chars().take(200).collect()).collect();
            let end = &entries[entries.len().saturating_sub(15)..];
            eprintln!("--- the end of {}\n{}", log.path().display(), end.join("\n"));
        }
    }

    fn ports_are_free(&self) -> anyhow::Result<bool> {
        let ports = self.status()?.into_iter().filter_map(|server| server["port"].as_u64()?.try_into().ok());
        Ok(ports.chain([self.spare_port()]).all(|port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok()))
    }

    fn status(&self) -> anyhow::Result<Vec<Value>> {
        Ok(serde_json::from_str(&self.dev(&["status", "--json"])?)?)
    }

    fn dev(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let Output { status, stdout, stderr } = dev(&self.state, self.offset, arguments)?;
        if !status.success() {
            bail!("./dev {}: {}", arguments.join(" "), String::from_utf8_lossy(&stderr).trim());
        }
        Ok(String::from_utf8(stdout)?)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        if self.is_kept.load(Ordering::SeqCst) {
            return;
        }
        if std::thread::panicking() {
            self.tell_ends_of_logs();
        }
        if let Err(error) = self.dev(&["down", "--wipe"]) {
            eprintln!("{} is left: {error}", self.state.display());
        }
    }
}

fn process_id(server: &Value) -> Option<u32> {
    server["pid"].as_u64()?.try_into().ok()
}

/// Who was killed could not wipe their servers.
fn wipe_left_overs(before_the_id: &str) {
    for entry in fs::read_dir("/var/tmp").into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        let Some((id, _)) = name.strip_prefix(before_the_id).and_then(|rest| rest.split_once('-')) else { continue };
        if !Path::new("/proc").join(id).exists() && !entry.path().join(KEPT).exists() {
            // Another process may be doing the same.
            let _ = dev(&entry.path(), 0, &["down", "--wipe"]);
        }
    }
}

fn dev(state: &Path, offset: u16, arguments: &[&str]) -> anyhow::Result<Output> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dev");
    let mut command = Command::new(&program);
    command.args(arguments).env("WAYPOST_STATE_DIR", state).env("WAYPOST_PORT_OFFSET", offset.to_string());
    command.output().with_context(|| format!("could not run {}", program.display()))
}
