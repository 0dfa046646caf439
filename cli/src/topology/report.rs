//! How a topology's differences are told: per resource, field by field, from old to new.

use std::{collections::BTreeSet, io, process::ExitCode};

use messaging::{Difference, Extra, FieldChange};
use serde::Serialize;

use crate::outln;

#[derive(Debug, Serialize)]
pub struct Report {
    pub differences: Vec<Difference>,
    /// Marked as ours and in no topology.
    pub extra: Vec<Extra>,
}

impl Report {
    pub fn print_json(&self) -> anyhow::Result<ExitCode> {
        outln!("{}", serde_json::to_string_pretty(self)?);
        Ok(ExitCode::SUCCESS)
    }

    /// Resources, not settings.
    pub fn make_and_change(&self) -> (usize, usize) {
        let resources = |missing: bool| {
            let such = self.differences.iter().filter(|difference| difference.is_missing() == missing);
            such.map(|difference| difference.resource.as_str()).collect::<BTreeSet<_>>().len()
        };
        (resources(true), resources(false))
    }

    pub fn removable(&self) -> usize {
        self.extra.iter().filter(|extra| extra.kept.is_none()).count()
    }

    pub fn print_changes(&self) -> io::Result<()> {
        let mut resource = "";
        for difference in &self.differences {
            let missing = difference.is_missing();
            if difference.resource != resource {
                resource = &difference.resource;
                outln!("{} {resource}", if missing { '+' } else { '~' });
            }
            for FieldChange { path, from, to } in difference.fields() {
                let to = to.as_deref().unwrap_or("not set");
                match (missing, from.as_deref()) {
                    (true, _) => outln!("    {path}: {to}"),
                    (false, from) => outln!("    {path}: {} → {to}", from.unwrap_or("not set")),
                }
            }
        }
        Ok(())
    }

    pub fn print_extras(&self, prune: bool) -> io::Result<()> {
        for Extra { resource, kept, misdelivers } in &self.extra {
            let why = if *misdelivers { ", and delivers what its consumer does not handle" } else { "" };
            match (kept, prune) {
                (None, true) => outln!("- {resource}"),
                (None, false) => outln!("  {resource} is in no topology{why}: would be removed with --prune"),
                (Some(kept), _) => outln!("  {resource} is in no topology{why}, and stays: {kept}"),
            }
        }
        Ok(())
    }

    pub fn print_drift(&self) -> io::Result<()> {
        for difference in &self.differences {
            let resource = &difference.resource;
            if difference.is_missing() {
                outln!("missing: {resource}");
                continue;
            }
            for FieldChange { path, from, to } in difference.fields() {
                let [from, to] = [from, to].map(|value| value.unwrap_or_else(|| "not set".to_owned()));
                outln!("{path} of {resource} is {from}, should be {to}");
            }
        }
        self.print_extras(false)
    }
}
