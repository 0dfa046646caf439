//! Markdown that is MDX as well: what a forge shows, EventCatalog can build.

use std::fmt::Write as _;

/// A relative link from one file of the catalog to another.
pub fn link(from: &str, to: &str) -> String {
    let (from, to): (Vec<_>, Vec<_>) = (from.split('/').collect(), to.split('/').collect());
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count().min(from.len() - 1).min(to.len() - 1);
    let mut parts = vec![".."; from.len() - 1 - shared];
    parts.extend(&to[shared..]);
    parts.join("/")
}

/// Where a relative link leads, unless that is out of the catalog.
pub fn resolve(from: &str, target: &str) -> Option<String> {
    let mut parts: Vec<_> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// Targets of links, outside of code.
pub fn links(text: &str) -> impl Iterator<Item = &str> {
    let parts = outside_fences(text).flat_map(spans).filter_map(|(is_code, part)| (!is_code).then_some(part));
    parts.flat_map(|part| {
        part.match_indices("](").filter_map(move |(at, _)| part[at + 2..].split_once(')').map(|(target, _)| target))
    })
}

/// Lines that are not within a fenced block.
pub fn outside_fences(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// A line in turns of text and code span, text first.
pub fn spans(line: &str) -> impl Iterator<Item = (bool, &str)> {
    line.split('`').enumerate().map(|(at, part)| (at % 2 == 1, part))
}

/// Text of a schema, in which MDX would take braces and angle brackets for code.
pub fn escaped(text: &str) -> String {
    let parts = spans(text).map(|(is_code, part)| match is_code {
        true => format!("`{part}`"),
        false => part.replace('<', "\\<").replace('{', "\\{"),
    });
    parts.collect()
}

/// A table; cells are Markdown.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = format!("| {} |\n|{}\n", head.join(" | "), " --- |".repeat(head.len()));
    for row in rows {
        let cells: Vec<_> = row.iter().map(|cell| cell.replace('\n', " ")).collect();
        writeln!(text, "| {} |", cells.join(" | ")).expect("writing to a String never fails");
    }
    text
}

pub fn fenced(language: &str, text: &str) -> String {
    format!("```{language}\n{}\n```\n", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_from_one_file_to_another_and_back() {
        for (from, to, want) in [
            ("README.md", "events/a.b/index.mdx", "events/a.b/index.mdx"),
            ("events/a.b/index.mdx", "events/c.d/index.mdx", "../c.d/index.mdx"),
            ("events/a.b/versioned/1.0.0/index.mdx", "events/a.b/index.mdx", "../../index.mdx"),
            ("events/a.b/index.mdx", "events/a.b/schema.json", "schema.json"),
            ("events/a.b/index.mdx", "README.md", "../../README.md"),
        ] {
            assert_eq!(link(from, to), want);
            assert_eq!(resolve(from, want).as_deref(), Some(to));
        }
        assert_eq!(resolve("README.md", "../secrets"), None);
    }

    #[test]
    fn what_is_in_code_is_neither_a_link_nor_escaped() {
        let text = "[a](x.md) and [`b`](y.md), not `[0](9)`\n```sh\n[c](z.md)\n```\n[d](https://example.com)";
        assert_eq!(links(text).collect::<Vec<_>>(), ["x.md", "y.md", "https://example.com"]);
        assert_eq!(escaped("a <b> {c} `<d> {e}`"), "a \\<b> \\{c} `<d> {e}`");
    }
}
