//! How checks are told to people: by what they are about, what is fine in brief.

use std::io;

use super::check::{Check, Finding, Outcome};
use crate::outln;

pub fn print(checks: &[Check]) -> io::Result<()> {
    let mut abouts: Vec<&str> = Vec::new();
    for check in checks {
        if !abouts.contains(&check.about.as_str()) {
            abouts.push(&check.about);
        }
    }
    for about in abouts {
        outln!("{about}");
        let of: Vec<_> = checks.iter().filter(|check| check.about == about).collect();
        let fine: Vec<_> = of.iter().filter(|check| check.outcome == Outcome::Ok).map(|check| check.id).collect();
        if !fine.is_empty() {
            outln!("  ok       {}", fine.join(", "));
        }
        for check in of {
            print_one(check)?;
        }
    }
    Ok(())
}

fn print_one(Check { id, outcome, .. }: &Check) -> io::Result<()> {
    let (severity, Finding { found, should_be, why, remedy }) = match outcome {
        Outcome::Ok => return Ok(()),
        Outcome::Info { found } => {
            outln!("  info     {id}: {found}");
            return Ok(());
        }
        Outcome::Untried { why, .. } => {
            outln!("  untried  {id}: {why}");
            return Ok(());
        }
        Outcome::Warning(finding) => ("warning", finding),
        Outcome::Error(finding) => ("error", finding),
    };
    outln!("  {severity:<7}  {id}");
    for (name, text) in [("found", found), ("should be", should_be), ("why", why), ("remedy", remedy)] {
        outln!("             {name:<9}  {text}");
    }
    Ok(())
}
