//! Processes that are measured from outside, as the system accounts for them.

use std::{
    fs::{self, File},
    path::Path,
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use serde::de::DeserializeOwned;
use tokio::process::{Child, Command};

/// A process that works until it is told to stop.
#[derive(Debug)]
pub struct Process {
    name: String,
    id: u32,
    child: Child,
}

const STOPPED: Duration = Duration::from_secs(30);

impl Process {
    /// Its log goes to a file called after it.
    pub fn start(
        name: &str,
        program: &Path,
        arguments: &[&str],
        environment: &[(String, String)],
        logs: &Path,
    ) -> anyhow::Result<Self> {
        let log = File::options().create(true).append(true).open(logs.join(format!("{name}.log")))?;
        let child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("could not start {}", program.display()))?;
        let id = child.id().context("a process that has ended already")?;
        Ok(Self { name: name.to_owned(), id, child })
    }

    /// CPU time so far, of user and system, in seconds. The kernel tells it in hundredths.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        const TICKS_PER_SECOND: f64 = 100.0;
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id))?;
        // The name in parentheses may hold anything; what is counted from comes behind it.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
        let (user, system) = (ticks(11), ticks(12));
        Ok(user.zip(system).map(|(user, system)| user + system).context("/proc/…/stat has another form")?
            / TICKS_PER_SECOND)
    }

    /// The most memory that it had at any time, in MiB.
    pub fn peak_mib(&self) -> anyhow::Result<f64> {
        peak_of(self.id)
    }

    /// SIGTERM; it has to finish what is in hand and exit 0.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        chaos::killing::signal("-TERM", &[self.id].into())?;
        let status = tokio::time::timeout(STOPPED, self.child.wait()).await;
        let status = status.with_context(|| format!("{} did not stop in {STOPPED:?}", self.name))??;
        ensure!(status.success(), "{} was asked to stop and ended with {status}", self.name);
        Ok(())
    }
}

/// Does something on one core alone: threads and processes that are started meanwhile stay there. The core is the first of those that
/// this process may use, of which there have to be more.
#[cfg(target_os = "linux")]
pub fn on_one_core<T>(done_there: impl FnOnce() -> T) -> anyhow::Result<T> {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    let all = sched_getaffinity(None)?;
    ensure!(all.count() > 1, "there is one core, and it takes another for whoever asks");
    let first = (0..CpuSet::MAX_CPU).find(|core| all.is_set(*core)).context("there is no core")?;
    let mut one = CpuSet::new();
    one.set(first);
    sched_setaffinity(None, &one)?;
    let done = done_there();
    sched_setaffinity(None, &all)?;
    Ok(done)
}

#[cfg(not(target_os = "linux"))]
pub fn on_one_core<T>(_: impl FnOnce() -> T) -> anyhow::Result<T> {
    bail!("only Linux is asked here to keep a process on one core")
}

/// What came of a program that was watched.
#[derive(Debug)]
pub struct Watched {
    pub code: i32,
    pub printed: String,
    pub said: String,
    /// The most memory that it had, as last seen, a fiftieth of a second before its end at most.
    pub peak_mib: f64,
}

/// Runs a program to its end, and looks at its memory meanwhile.
pub async fn watched(program: &Path, arguments: &[&str], environment: &[(String, String)]) -> anyhow::Result<Watched> {
    let child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("could not start {}", program.display()))?;
    let id = child.id().context("a process that has ended already")?;
    let mut peak = 0.0;
    let done = child.wait_with_output();
    tokio::pin!(done);
    let done = loop {
        tokio::select! {
            done = &mut done => break done?,
            () = tokio::time::sleep(Duration::from_millis(20)) => peak = peak_of(id).unwrap_or(peak),
        }
    };
    Ok(Watched {
        code: done.status.code().unwrap_or(-1),
        printed: String::from_utf8(done.stdout)?,
        said: String::from_utf8(done.stderr)?,
        peak_mib: peak,
    })
}

/// The most memory that a process had at any time, in MiB.
fn peak_of(id: u32) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    Ok(kib.context("/proc/…/status has no VmHWM")?.trim().parse::<f64>()? / 1024.0)
}

/// Runs a program to its end and reads the JSON that it ends with.
pub async fn answer<T: DeserializeOwned>(
    program: &Path,
    arguments: &[String],
    environment: &[(String, String)],
) -> anyhow::Result<T> {
    let text = output(program, arguments, environment).await?;
    let last = text.lines().last().unwrap_or_default();
    serde_json::from_str(last).with_context(|| format!("{} ended with `{last}`", program.display()))
}

/// Runs a program to its end; answers what it printed.
pub async fn output(program: &Path, arguments: &[String], environment: &[(String, String)]) -> anyhow::Result<String> {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(environment.iter().map(|(name, value)| (name, value)));
    let done = command.kill_on_drop(true).output().await;
    let done = done.with_context(|| format!("could not run {}", program.display()))?;
    if !done.status.success() {
        bail!("{} {}: {}", program.display(), arguments.join(" "), String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(String::from_utf8(done.stdout)?)
}
