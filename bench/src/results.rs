//! Results as they are kept: a file for each run, a line for the machine, then a line for each measure.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};

use crate::{machine::Machine, report::Line, scenarios};

/// What one run of the benchmark told.
#[derive(Debug, Clone, PartialEq)]
pub struct Results {
    pub machine: Machine,
    pub lines: Vec<Line>,
}

impl Results {
    /// Into a file called after the time and the machine; answers where.
    pub fn write(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        fs::create_dir_all(folder)?;
        let time: String = self.machine.measured_at.chars().take(16).collect();
        let name = format!("{}-{}-cores.jsonl", time.replace([':', 'T'], "-"), self.machine.cores);
        let file = folder.join(name);
        let mut text = serde_json::to_string(&self.machine)? + "\n";
        for line in &self.lines {
            text += &serde_json::to_string(line)?;
            text.push('\n');
        }
        fs::write(&file, text).with_context(|| format!("could not write {}", file.display()))?;
        Ok(file)
    }

    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("could not read {}", file.display()))?;
        let mut lines = text.lines();
        let machine = lines.next().context("there is nothing in it")?;
        let machine = serde_json::from_str(machine).context("its first line tells of no machine")?;
        let lines: Vec<_> = lines.map(serde_json::from_str).collect::<Result<_, _>>()?;
        ensure!(!lines.is_empty(), "{} holds no measures", file.display());
        Ok(Self { machine, lines })
    }
}

/// The newest results of each measure, in the measures' own order; from files that are in the order of their names, which is
/// that of their times. The machine is that of the last one.
pub fn newest(files: &[PathBuf]) -> anyhow::Result<Results> {
    let mut files = files.to_vec();
    files.sort();
    let mut all: Vec<Line> = Vec::new();
    let mut machine = None;
    for file in &files {
        let results = Results::read(file)?;
        for line in results.lines {
            match all.iter_mut().find(|known| known.measure == line.measure) {
                Some(known) => *known = line,
                None => all.push(line),
            }
        }
        machine = Some(results.machine);
    }
    let scenarios = scenarios::all();
    let order: Vec<_> = scenarios.iter().flat_map(|scenario| scenario.measures()).map(|measure| measure.name).collect();
    all.sort_by_key(|line| order.iter().position(|name| *name == line.measure));
    Ok(Results { machine: machine.context("there are no results")?, lines: all })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Goal, Measure, Run};

    fn results() -> Results {
        let measure = Measure { name: "rate", unit: "events/s", against: None, goal: Some(Goal::ValueAtMost(2.0)) };
        let machine = Machine {
            measured_at: "2026-01-02T03:04:05Z".to_owned(),
            processor: "one".to_owned(),
            cores: 2,
            memory_gib: 24,
            system: "Linux 6".to_owned(),
            postgresql: "15".to_owned(),
            rustc: "rustc 1.95.0".to_owned(),
            commit: "abc".to_owned(),
            runs: 1,
        };
        Results { machine, lines: vec![Line::of(&measure, vec![Run::alone(1.0)])] }
    }

    #[test]
    fn results_are_read_as_they_were_written() {
        let folder = std::env::temp_dir().join(format!("waypost-results-{}", std::process::id()));
        let file = results().write(&folder).unwrap();
        assert_eq!(file.file_name().unwrap(), "2026-01-02-03-04-2-cores.jsonl");
        assert_eq!(Results::read(&file).unwrap(), results());
        fs::write(&file, "{}\n").unwrap();
        assert!(Results::read(&file).is_err());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn of_several_files_the_newest_says_what_a_measure_is() {
        let folder = std::env::temp_dir().join(format!("waypost-newest-{}", std::process::id()));
        let mut results = results();
        let older = results.write(&folder).unwrap();
        results.machine.measured_at = "2026-01-03T03:04:05Z".to_owned();
        results.lines[0].value = 2.0;
        let newer = results.write(&folder).unwrap();
        let merged = newest(&[newer, older]).unwrap();
        assert_eq!(merged, results);
        assert!(newest(&[]).is_err());
        fs::remove_dir_all(folder).unwrap();
    }

    /// Results that are older than a measure, or than its goal, say less than the page that shows them.
    #[test]
    fn the_newest_results_that_are_kept_are_of_every_measure_and_its_goal() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
        let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
        let files: Vec<_> = files.filter(|file| file.extension().is_some_and(|is| is == "jsonl")).collect();
        let kept = newest(&files).unwrap();
        let told: Vec<_> = kept.lines.iter().map(|line| (line.measure.clone(), line.goal.clone())).collect();
        let scenarios = scenarios::all();
        let measures = scenarios.iter().flat_map(|scenario| scenario.measures());
        let known: Vec<_> =
            measures.map(|measure| (measure.name.to_owned(), measure.goal.map(|goal| goal.to_string()))).collect();
        assert_eq!(told, known);
        assert!(kept.lines.iter().all(|line| line.runs.len() >= 5), "five runs of each");
    }
}
