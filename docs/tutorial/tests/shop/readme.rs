//! What the tutorial shows is what is compiled and run: its blocks are excerpts, and nothing public is left out.
//!
//! A block is headed by a line that links to its file. Shell blocks are not excerpts: the tests of the command line run
//! what is in them.

use std::{collections::BTreeMap, fs, path::Path};

struct Block {
    /// Relative to this crate; none where no line heads the block.
    file: Option<String>,
    language: String,
    lines: Vec<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).unwrap()
}

fn blocks(text: &str) -> Vec<Block> {
    let (mut blocks, mut heading, mut open): (Vec<Block>, _, Option<Block>) = (Vec::new(), "", None);
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (Some(block), None) => block.lines.push(line.trim().to_owned()),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(language)) => {
                let link = heading.strip_prefix("[`").and_then(|rest| rest.strip_suffix(')')?.split_once("`]("));
                let file = link.filter(|(name, target)| name == target).map(|(name, _)| name.to_owned());
                open = Some(Block { file, language: language.to_owned(), lines: Vec::new() });
            }
            (None, None) if line.is_empty() => {}
            (None, None) => heading = line,
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

/// The lines of a file, without their indentation.
fn lines(file: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    text.lines().map(|line| line.trim().to_owned()).collect()
}

/// What is wrong with a block, if anything.
fn fault(block: &Block) -> Option<String> {
    let first = block.lines.first().map_or("", String::as_str);
    match &block.file {
        None => Some(format!("no line links to the file of the block that starts `{first}`")),
        Some(_) if block.lines.is_empty() => Some("a block is empty".to_owned()),
        Some(file) => {
            let is_there = lines(file).windows(block.lines.len()).any(|window| window == block.lines);
            (!is_there).then(|| format!("{file} does not hold the block that starts `{first}`"))
        }
    }
}

/// The public lines of this crate's sources that `blocks` don't show.
fn unshown(blocks: &[Block]) -> Vec<String> {
    let mut shown: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
    for block in blocks {
        shown.entry(block.file.as_deref().unwrap_or_default()).or_default().extend(&block.lines);
    }
    let sources = fs::read_dir(root().join("src")).unwrap();
    let mut missing = Vec::new();
    for source in sources {
        let file = format!("src/{}", source.unwrap().file_name().to_str().unwrap());
        let public = lines(&file).into_iter().filter(|line| line.starts_with("pub "));
        let is_shown = |line: &String| shown.get(file.as_str()).is_some_and(|lines| lines.contains(&line));
        missing.extend(public.filter(|line| !is_shown(line)).map(|line| format!("{file}: {line}")));
    }
    missing
}

fn excerpts() -> Vec<Block> {
    blocks(&readme()).into_iter().filter(|block| block.language != "sh").collect()
}

#[test]
fn every_block_is_in_the_file_that_it_names() {
    let excerpts = excerpts();
    assert!(excerpts.len() > 15, "{} blocks", excerpts.len());
    let faults: Vec<_> = excerpts.iter().filter_map(fault).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn everything_public_and_every_table_is_shown() {
    let excerpts = excerpts();
    let missing = unshown(&excerpts);
    assert!(missing.is_empty(), "{missing:#?}");
    for table in fs::read_dir(root().join("sql")).unwrap() {
        let file = format!("sql/{}", table.unwrap().file_name().to_str().unwrap());
        let whole = lines(&file);
        assert!(excerpts.iter().any(|block| block.lines == whole), "{file} is not shown");
    }
}

#[test]
fn a_block_that_differs_in_one_word_or_names_no_file_is_told() {
    let text = readme();
    let changed = text.replacen("pub express: bool,", "pub express: u8,", 1);
    assert_ne!(changed, text);
    let faults: Vec<_> = blocks(&changed).iter().filter(|block| block.language == "rust").filter_map(fault).collect();
    assert_eq!(faults.len(), 1, "{faults:#?}");
    assert!(unshown(&blocks(&changed)).contains(&"src/order_placed.rs: pub express: bool,".to_owned()));

    let [nameless] = &blocks("Some words.\n\n```rust\nfn f() {}\n```\n")[..] else { panic!("one block") };
    assert!(fault(nameless).is_some());
}

/// The tables of steps and tests say `path/of/a.rs::name_of_a_test`.
#[test]
fn every_test_that_the_text_names_exists() {
    let text = readme();
    let named: Vec<_> = text.split('`').filter_map(|part| part.split_once(".rs::")).collect();
    assert!(named.len() > 10, "{named:?}");
    for (file, test) in named {
        let source = fs::read_to_string(root().join(format!("../../{file}.rs"))).unwrap_or_default();
        let signature = format!("fn {test}(");
        let mut before = "";
        let mut found = false;
        for line in source.lines().map(str::trim) {
            found |= line.contains(&signature) && ["#[test]", "#[tokio::test]"].contains(&before);
            before = line;
        }
        assert!(found, "{file}.rs has no test {test}");
    }
}

#[test]
fn every_link_leads_to_a_file() {
    let text = readme();
    let targets: Vec<_> = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(to, _)| to).collect();
    assert!(targets.len() > 20, "{targets:?}");
    for target in targets.into_iter().filter(|target| !target.starts_with("https://")) {
        assert!(root().join(target).exists(), "{target} is not there");
    }
}
