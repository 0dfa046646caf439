use std::process::ExitCode;

use clap::Args;
use contracts::{Affected, Finding, Incompatible, Mode, Report, check, published_here};
use serde_json::json;

use super::{Direction, print_gap, released::released, shortened};
use crate::{landscape::landscape, outln};

#[derive(Debug, Args)]
pub struct Check {
    /// What was released: a commit, or a folder of golden schemas [default: the older versions of this build]
    #[arg(long, value_name = "COMMIT|FOLDER")]
    against: Option<String>,
    /// Whose events have to be read by whom
    #[arg(long, value_enum, default_value_t = Direction::Full)]
    mode: Direction,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

impl Check {
    pub async fn execute(self) -> anyhow::Result<ExitCode> {
        let mode = Mode::from(self.mode);
        let now = published_here();
        let before = match &self.against {
            Some(place) => released(place).await?,
            None => now.clone(),
        };
        let report = check(&now, &before, &landscape(), mode)?;
        if self.json {
            let report = json!({ "mode": mode.to_string(), "against": self.against, "report": report });
            outln!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            for finding in &report.findings {
                print(finding)?;
            }
            print_raised(&report)?;
        }
        let compared = &report.compared;
        eprintln!(
            "compared {} events in {} versions with {}: {} unchanged, {} new, {} {} of different schemas judged {mode}",
            compared.events,
            compared.versions,
            match &self.against {
                Some(place) => format!("{} released ones of {place}", compared.released),
                None => "each other".to_owned(),
            },
            compared.unchanged,
            compared.new,
            compared.pairs,
            if compared.pairs == 1 { "pair" } else { "pairs" },
        );
        match report.findings.len() {
            0 => eprintln!("nothing would break"),
            count => eprintln!("{count} {}", if count == 1 { "finding" } else { "findings" }),
        }
        Ok(if report.is_compatible() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn print(finding: &Finding) -> anyhow::Result<()> {
    match finding {
        Finding::Removed { event, version, breaks } => {
            outln!(
                "{event} v{version} was released and is gone: events of it are in queues, dead letters and archives"
            );
            for Affected { consumer, handler, .. } in breaks {
                outln!("    {consumer} ({handler}) could not read them");
            }
        }
        Finding::Edited { event, version } => {
            outln!("{event} v{version} was released and allows something else now: make a new version");
        }
        Finding::Declassified { event, older, newer, pointer, was, is } => {
            outln!("{event} v{newer}: {pointer} is classed {is}, and was {was} in v{older}: more would be shown of it");
        }
        Finding::Missing { event, version, pointer, breaks } => {
            for Affected { consumer, handler, .. } in breaks {
                match pointer.as_str() {
                    "" => outln!("{consumer}: {handler} handles {event}, of which there is no schema"),
                    _ => outln!("{consumer}: {handler} reads {pointer}, which {event} v{version} doesn't have"),
                }
            }
        }
        Finding::Incompatible(found) => {
            let Incompatible { event, direction, writer, reader, gap, removed, breaks } = found;
            let direction = match direction {
                contracts::Direction::Backward => "BACKWARD",
                contracts::Direction::Forward => "FORWARD",
            };
            let what = match (writer == reader, &found.direction) {
                (false, _) => format!("{direction} {event}: v{writer} as sent, v{reader} as read"),
                (true, contracts::Direction::Backward) => {
                    format!("{direction} {event}: v{writer} as it was sent, as it is read now")
                }
                (true, contracts::Direction::Forward) => {
                    format!("{direction} {event}: v{writer} as it is sent now, as it was read")
                }
            };
            print_gap(&what, gap, &sentences(&gap.pointer, *removed, breaks))?;
        }
    }
    Ok(())
}

/// Whom it breaks: those who read the field, and those who only can't read the whole any more.
fn sentences(pointer: &str, removed: bool, breaks: &[Affected]) -> Vec<String> {
    let (cause, field) = match pointer {
        "" => ("this".to_owned(), "it"),
        _ if removed => (format!("removing {pointer}"), "it"),
        _ => (format!("changing {pointer}"), "it"),
    };
    if breaks.is_empty() {
        return vec!["no consumer here reads the event; one elsewhere might".to_owned()];
    }
    let sentence = |Affected { consumer, handler, reads }: &Affected| match reads {
        true => format!("{cause} breaks {consumer}: {handler} reads {field}"),
        false => format!(
            "{cause} breaks {consumer}: {handler} doesn't read {field}, and gets no event that breaks its schema"
        ),
    };
    breaks.iter().map(sentence).collect()
}

fn print_raised(report: &Report) -> anyhow::Result<()> {
    for raised in &report.raised {
        let (event, from, to) = (&raised.event, raised.from, raised.to);
        match &raised.failed {
            None => {
                let (closed, tried) = (raised.closes.len(), raised.tried);
                outln!("{event}: v{from} is raised to v{to}, which closes {closed} gaps; tried on {tried} events");
                for gap in &raised.never_sent {
                    outln!("    the schema of v{from} allows more at {}, which its own struct refuses", gap.pointer);
                }
            }
            Some(failed) => {
                outln!("{event}: v{from} can't always be raised to v{to}: {}", failed.why);
                outln!("    for example {}", shortened(&failed.document));
            }
        }
    }
    Ok(())
}
