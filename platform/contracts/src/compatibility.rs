//! Whether events of one version can be read by readers of another: what a schema registry calls BACKWARD, FORWARD and
//! FULL, over all released versions at once.
//!
//! *Backward*: readers of today, events of an older version, which still lie in queues, dead letters and archives. Here
//! readers raise older versions by upcasters, so a gap that the upcaster closes is none; that it does is tried, on the
//! documents that show the gaps, on the examples, and on samples. *Forward*: readers of an older release, events of
//! today. A version that was released and has changed since is judged like two versions, and told in any case.
//!
//! Handlers see the newest version only, so the newest is compared with each older one; those between never meet.

use std::{collections::BTreeMap, fmt};

use schemas::SchemaEntry;
use serde_json::Value;

use crate::{
    fields::payload_fields,
    inclusion::{Gap, Older, gaps},
    landscape::{Landscape, Reader},
    shape::{InvalidSchema, Shape},
    upcasting::{Raised, try_upcaster},
};

/// Which directions have to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Backward,
    Forward,
    Full,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    Backward,
    Forward,
}

impl Mode {
    pub const fn asks_for(self, direction: Direction) -> bool {
        match self {
            Self::Full => true,
            Self::Backward => matches!(direction, Direction::Backward),
            Self::Forward => matches!(direction, Direction::Forward),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Backward => "BACKWARD",
            Self::Forward => "FORWARD",
            Self::Full => "FULL",
        })
    }
}

/// The schemas of all versions of all events, by type and version.
pub type Published = BTreeMap<(String, u32), Value>;

/// Those of this build.
pub fn published_here() -> Published {
    let entries = schemas::all_schemas().iter();
    entries.map(|entry| ((entry.event_type.to_string(), entry.version), entry.json_schema())).collect()
}

/// What was compared, and what came of it.
#[derive(Debug, serde::Serialize)]
pub struct Report {
    pub compared: Compared,
    pub findings: Vec<Finding>,
    /// Older versions that readers raise, and what that was tried on.
    pub raised: Vec<Raised>,
}

#[derive(Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Compared {
    /// Of this build.
    pub events: usize,
    pub versions: usize,
    /// Versions that were released: each is looked for in this build.
    pub released: usize,
    /// Versions of this build that were not released.
    pub new: usize,
    /// Released versions that are what they were.
    pub unchanged: usize,
    /// Pairs of different schemas that were judged, each in every direction asked for.
    pub pairs: usize,
}

/// Something that would break somebody.
#[derive(Debug, serde::Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Finding {
    /// Was released, and isn't there any more.
    Removed {
        event: String,
        version: u32,
        breaks: Vec<Affected>,
    },
    /// Was released, and allows something else now.
    Edited {
        event: String,
        version: u32,
    },
    Incompatible(Incompatible),
    /// A field of the older version is personal or secret, and the newer one lets it be shown.
    Declassified {
        event: String,
        older: u32,
        newer: u32,
        pointer: String,
        was: String,
        is: String,
    },
    /// A handler reads what its version doesn't have.
    Missing {
        event: String,
        version: u32,
        pointer: String,
        breaks: Vec<Affected>,
    },
}

#[derive(Debug, serde::Serialize)]
pub struct Incompatible {
    pub event: String,
    pub direction: Direction,
    pub writer: u32,
    pub reader: u32,
    #[serde(flatten)]
    pub gap: Gap,
    /// The newer version doesn't list the field at all.
    pub removed: bool,
    pub breaks: Vec<Affected>,
}

/// A handler that would refuse the document.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Affected {
    pub consumer: String,
    pub handler: String,
    /// Whether it reads the field at fault. If not it still refuses, since a payload is read as a whole.
    pub reads: bool,
}

/// Judges what is published now against what was `released`.
pub fn check(
    now: &Published,
    released: &Published,
    landscape: &Landscape,
    mode: Mode,
) -> Result<Report, InvalidSchema> {
    let mut check = Check { landscape, mode, report: Report::new(now, released) };
    for ((event, version), schema) in released {
        let Some(newest) = newest(now, event) else {
            check.removed(event, *version);
            continue;
        };
        let old = Shape::read(schema)?;
        match now.get(&(event.clone(), *version)) {
            None => check.removed(event, *version),
            Some(same) if check.is_declassified(event, (*version, schema), (*version, same)) => {}
            Some(same) if Shape::read(same)? == old => check.report.compared.unchanged += 1,
            Some(same) => {
                check.report.findings.push(Finding::Edited { event: event.clone(), version: *version });
                check.pair(event, (*version, &old), (*version, &Shape::read(same)?));
            }
        }
        if newest.0 > *version {
            check.is_declassified(event, (*version, schema), newest);
            check.pair(event, (*version, &old), (newest.0, &Shape::read(newest.1)?));
        }
    }
    for reader in &landscape.readers {
        check.reads(reader, now)?;
    }
    Ok(check.report)
}

/// The newest version of an event, with its schema.
fn newest<'a>(published: &'a Published, event: &str) -> Option<(u32, &'a Value)> {
    let versions = published.range((event.to_owned(), 0)..=(event.to_owned(), u32::MAX));
    versions.last().map(|((_, version), schema)| (*version, schema))
}

impl Report {
    fn new(now: &Published, released: &Published) -> Self {
        let mut events: Vec<_> = now.keys().map(|(event, _)| event).collect();
        events.dedup();
        let compared = Compared {
            events: events.len(),
            versions: now.len(),
            released: released.len(),
            new: now.keys().filter(|version| !released.contains_key(*version)).count(),
            ..Compared::default()
        };
        Self { compared, findings: Vec::new(), raised: Vec::new() }
    }

    pub fn is_compatible(&self) -> bool {
        self.findings.is_empty()
    }
}

struct Check<'a> {
    landscape: &'a Landscape,
    mode: Mode,
    report: Report,
}

impl Check<'_> {
    fn removed(&mut self, event: &str, version: u32) {
        let breaks = self.affected(event, |_| false);
        self.report.findings.push(Finding::Removed { event: event.to_owned(), version, breaks });
    }

    /// Tells every field that more people may see than before.
    fn is_declassified(&mut self, event: &str, older: (u32, &Value), newer: (u32, &Value)) -> bool {
        let classes = |schema: &Value| -> BTreeMap<String, String> {
            let fields = payload_fields(schema).into_iter();
            fields.map(|field| (field.pointer, field.class.unwrap_or_else(|| "unclassified".to_owned()))).collect()
        };
        let (before, after) = (classes(older.1), classes(newer.1));
        let lowered = before.into_iter().filter_map(|(pointer, was)| {
            let is = after.get(&pointer).filter(|is| strictness(is) < strictness(&was))?.clone();
            Some(Finding::Declassified { event: event.to_owned(), older: older.0, newer: newer.0, pointer, was, is })
        });
        let lowered: Vec<_> = lowered.collect();
        let found = !lowered.is_empty();
        self.report.findings.extend(lowered);
        found
    }

    fn pair(&mut self, event: &str, (old_version, old): (u32, &Shape), (new_version, new): (u32, &Shape)) {
        self.report.compared.pairs += 1;
        if self.mode.asks_for(Direction::Backward) {
            let mut found = gaps(old, new, Older::Writer);
            let entry = SchemaEntry::find(event, old_version).filter(|_| old_version < new_version);
            if let Some(entry) = entry {
                let mut raised = try_upcaster(entry, new_version, new, found);
                found = std::mem::take(&mut raised.left);
                if let Some(failed) = &raised.failed {
                    found.push(Gap {
                        pointer: String::new(),
                        rule: "upcaster".into(),
                        reason: failed.why.clone(),
                        witness: Some(failed.document.clone()),
                    });
                }
                self.report.raised.push(raised);
            }
            self.incompatible(event, Direction::Backward, (old_version, old), (new_version, new), found);
        }
        if self.mode.asks_for(Direction::Forward) {
            let found = gaps(new, old, Older::Reader);
            self.incompatible(event, Direction::Forward, (new_version, new), (old_version, old), found);
        }
    }

    fn incompatible(
        &mut self,
        event: &str,
        direction: Direction,
        (writer, sent): (u32, &Shape),
        (reader, taken): (u32, &Shape),
        found: Vec<Gap>,
    ) {
        let newer = if direction == Direction::Backward { taken } else { sent };
        for gap in found {
            let breaks = self.affected(event, |reader| reader.fields.iter().any(|field| meet(field, &gap.pointer)));
            let removed = !lists(newer, &gap.pointer);
            let event = event.to_owned();
            let found = Incompatible { event, direction, writer, reader, gap, removed, breaks };
            self.report.findings.push(Finding::Incompatible(found));
        }
    }

    /// Whether what a handler says that it reads is there.
    fn reads(&mut self, reader: &Reader, now: &Published) -> Result<(), InvalidSchema> {
        let event = reader.event_type.to_string();
        let Some((version, schema)) = newest(now, &event) else {
            let breaks = vec![reader.affected(true)];
            let finding = Finding::Missing { event, version: reader.version, pointer: String::new(), breaks };
            self.report.findings.push(finding);
            return Ok(());
        };
        let shape = Shape::read(schema)?;
        for field in reader.fields.iter().filter(|field| !lists(&shape, field)) {
            let (event, pointer) = (event.clone(), field.clone());
            let breaks = vec![reader.affected(true)];
            self.report.findings.push(Finding::Missing { event, version, pointer, breaks });
        }
        Ok(())
    }

    fn affected(&self, event: &str, reads: impl Fn(&Reader) -> bool) -> Vec<Affected> {
        self.landscape.readers_of(event).map(|reader| reader.affected(reads(reader))).collect()
    }
}

impl Reader {
    fn affected(&self, reads: bool) -> Affected {
        Affected { consumer: self.consumer.clone(), handler: self.handler.clone(), reads }
    }
}

/// What isn't classed is shown to nobody, like a secret; an object has no class of its own.
fn strictness(class: &str) -> u8 {
    match class {
        "open" => 0,
        "pii" => 1,
        _ => 2,
    }
}

/// Whether one is the other, or within it.
fn meet(field: &str, pointer: &str) -> bool {
    let within = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    within(field, pointer) || within(pointer, field)
}

/// Whether a schema says anything of a place: by name, not by what it lets pass unnamed.
fn lists(shape: &Shape, pointer: &str) -> bool {
    let mut at = shape;
    for part in pointer.split('/').skip(1) {
        let name = part.replace("~1", "/").replace("~0", "~");
        at = match (at.properties.get(&name), &at.items) {
            (Some(property), _) => property,
            (None, Some(items)) if name == "*" || name.parse::<usize>().is_ok() => items,
            _ => return false,
        };
    }
    true
}
