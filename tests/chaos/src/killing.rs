//! kill -9, of processes and whatever they forked.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    process::Command,
    time::{Duration, Instant},
};

const KILLED: Duration = Duration::from_secs(60);

/// Returns when none of them is there any more; answers how many there were.
pub fn kill_with_children(parents: &BTreeSet<u32>) -> io::Result<usize> {
    // Stopped first, so that nobody forks meanwhile, or sees another die and can still do something about it.
    signal("-STOP", parents)?;
    let children = living()?.into_iter().filter(|(_, parent)| parents.contains(parent)).map(|(id, _)| id);
    let everybody: BTreeSet<_> = children.chain(parents.iter().copied()).collect();
    signal("-STOP", &everybody)?;
    signal("-KILL", &everybody)?;
    let killed = Instant::now();
    while living()?.keys().any(|id| everybody.contains(id)) {
        if killed.elapsed() > KILLED {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "some outlive kill -9"));
        }
    }
    Ok(everybody.len())
}

/// Signals those that are still there.
pub fn signal(signal: &str, processes: &BTreeSet<u32>) -> io::Result<()> {
    // Some may have ended by themselves, of which it complains.
    Command::new("kill").arg(signal).args(processes.iter().map(u32::to_string)).output().map(drop)
}

/// Processes with their parents, zombies left out.
fn living() -> io::Result<BTreeMap<u32, u32>> {
    let processes = fs::read_dir("/proc")?.filter_map(|entry| {
        let folder = entry.ok()?.path();
        let id = folder.file_name()?.to_str()?.parse().ok()?;
        let text = fs::read_to_string(folder.join("stat")).ok()?;
        let mut fields = text.rsplit_once(')')?.1.split_whitespace();
        let (state, parent) = (fields.next()?, fields.next()?.parse().ok()?);
        (!matches!(state, "Z" | "X")).then_some((id, parent))
    });
    Ok(processes.collect())
}
