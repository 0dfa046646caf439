//! A folder against what it should be.

use std::fmt;

use super::Files;

/// A file that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FileDifference {
    /// Within the folder.
    pub path: String,
    #[serde(flatten)]
    pub change: Change,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Change {
    Missing,
    Extra,
    Stale {
        /// The first line that differs, counted from one.
        line: usize,
        /// Nothing where the file ends before.
        found: Option<String>,
        expected: Option<String>,
        /// How many lines are between the first and the last that differ.
        lines: usize,
    },
}

/// In the order of the paths. What is no text is given as an empty one, and so differs.
pub fn compare_files(expected: &Files, found: &Files) -> Vec<FileDifference> {
    let mut paths: Vec<_> = expected.keys().chain(found.keys()).collect();
    paths.sort();
    paths.dedup();
    let difference = |path: &String| {
        let change = match (expected.get(path), found.get(path)) {
            (Some(_), None) => Change::Missing,
            (None, _) => Change::Extra,
            (Some(expected), Some(found)) if expected != found => stale(expected, found),
            (Some(_), Some(_)) => return None,
        };
        Some(FileDifference { path: path.clone(), change })
    };
    paths.into_iter().filter_map(difference).collect()
}

fn stale(expected: &str, found: &str) -> Change {
    let (expected, found): (Vec<_>, Vec<_>) = (expected.split('\n').collect(), found.split('\n').collect());
    let same = expected.iter().zip(&found).take_while(|(a, b)| a == b).count();
    let rest = (expected.len() - same).min(found.len() - same);
    let same_end = expected.iter().rev().zip(found.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let at = |lines: &[&str]| lines.get(same).map(|line| (*line).to_owned());
    let lines = expected.len().max(found.len()) - same - same_end;
    Change::Stale { line: same + 1, found: at(&found), expected: at(&expected), lines }
}

impl fmt::Display for FileDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match &self.change {
            Change::Missing => write!(f, "missing {path}"),
            Change::Extra => write!(f, "extra   {path}"),
            Change::Stale { line, found, expected, lines } => {
                let lines = if *lines == 1 { "a line".to_owned() } else { format!("{lines} lines") };
                write!(f, "stale   {path}, {lines} from line {line} on")?;
                if let Some(found) = found {
                    write!(f, "\n    - {}", found.trim_end())?;
                }
                if let Some(expected) = expected {
                    write!(f, "\n    + {}", expected.trim_end())?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(all: &[(&str, &str)]) -> Files {
        all.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn each_file_that_differs_is_told_with_its_first_line() {
        let expected = files(&[("a", "1\n2\n3\n"), ("b", "x\n"), ("c", "same\n"), ("e", "1\n2\n")]);
        let found = files(&[("a", "1\n9\n3\n"), ("c", "same\n"), ("d", "y\n"), ("e", "1\n")]);
        let told: Vec<_> = compare_files(&expected, &found).iter().map(FileDifference::to_string).collect();
        assert_eq!(
            told,
            [
                "stale   a, a line from line 2 on\n    - 9\n    + 2",
                "missing b",
                "extra   d",
                "stale   e, a line from line 2 on\n    - \n    + 2",
            ]
        );
        assert_eq!(compare_files(&expected, &expected), []);
    }

    #[test]
    fn a_line_feed_that_is_gone_is_a_difference() {
        assert_eq!(compare_files(&files(&[("a", "1\n")]), &files(&[("a", "1")])).len(), 1);
    }
}
