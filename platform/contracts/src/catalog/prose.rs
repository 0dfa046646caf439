//! What people wrote, merged into pages: an event named in code font becomes a link to its page.

use std::fmt::Write as _;

use super::{
    markdown::{self, link},
    problems::{Problem, ProblemKind},
    system::{System, paths},
};

/// `text` as it stands in the page `page`.
pub fn merged(system: &System<'_>, page: &str, text: &str) -> String {
    let mut merged = String::new();
    let mut fenced = false;
    for line in text.trim_end().lines() {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        if fenced || fence {
            merged += line;
        } else {
            add_linked(&mut merged, system, page, line);
        }
        merged.push('\n');
    }
    merged
}

/// A single line, such as a description.
pub fn linked(system: &System<'_>, page: &str, line: &str) -> String {
    let mut text = String::new();
    add_linked(&mut text, system, page, &markdown::escaped(line));
    text
}

fn add_linked(text: &mut String, system: &System<'_>, page: &str, line: &str) {
    for (is_code, part) in markdown::spans(line) {
        let target = paths::event(part);
        let written = match is_code {
            true if system.is_event(part) && target != page && !text.ends_with('[') => {
                write!(text, "[`{part}`]({})", link(page, &target))
            }
            true => write!(text, "`{part}`"),
            false => write!(text, "{part}"),
        };
        written.expect("writing to a String never fails");
    }
}

/// Everything that people wrote, with its place.
fn all<'a>(system: &'a System<'a>) -> Vec<(String, &'a str)> {
    let mut all = Vec::new();
    for event in system.events.values() {
        let folder = format!("schemas/prose/{}", event.name());
        all.extend(event.newest().prose().map(|text| (format!("{folder}/about.md"), text)));
        for entry in &event.versions {
            all.extend(entry.note().map(|text| (format!("{folder}/v{}.md", entry.version), text)));
        }
        let family = event.named.family();
        let place = format!("schemas/prose/{family}/about.md");
        if !all.iter().any(|(each, _)| *each == place) {
            all.extend(event.named.family_prose().map(|text| (place, text)));
        }
    }
    for service in system.services.values() {
        all.extend(service.about.map(|text| (format!("about.md of {}", service.name), text)));
    }
    all
}

pub fn problems(system: &System<'_>) -> Vec<Problem> {
    let families = system.families();
    let mut problems = Vec::new();
    for (place, text) in all(system) {
        let mut say = |what: String| problems.push(Problem::new(ProblemKind::Prose, &place, what));
        for target in markdown::links(text).filter(|target| !target.starts_with("https://")) {
            say(format!("links to `{target}`: it is shown in several places, so a link is to be absolute (https)"));
        }
        for (is_code, part) in markdown::outside_fences(text).flat_map(markdown::spans) {
            if is_code && looks_like_event(part, &families) && !system.is_event(part) {
                say(format!("names `{part}`, and there is no such event"));
            }
            if !is_code && part.contains(['<', '{']) {
                say(format!("holds `<` or `{{` outside of code, which MDX takes for code: `{}`", part.trim()));
            }
        }
    }
    problems
}

/// Lower-case words joined by dots, about something that there are events about.
fn looks_like_event(text: &str, families: &std::collections::BTreeSet<&str>) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    text.split_once('.').is_some_and(|(family, rest)| families.contains(family) && rest.split('.').all(is_word))
}
