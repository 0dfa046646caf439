//! Embeds what people wrote beside the types: examples and prose. A file that is added is there after the next build.

use std::{
    env,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let mut table = "pub(crate) static FILES: &[(&str, &str)] = &[\n".to_owned();
    for folder in ["examples", "prose"] {
        // A folder's own time changes with each file that comes or goes; cargo looks into it by itself.
        println!("cargo::rerun-if-changed={folder}");
        for path in files(&root.join(folder))? {
            let name = path.strip_prefix(&root).expect("it was found there").to_str().expect("names are ASCII");
            writeln!(table, "    ({name:?}, include_str!({:?})),", path.display().to_string())
                .expect("writing to a String never fails");
        }
    }
    table += "];\n";
    fs::write(Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("files.rs"), table)
}

/// In the order of their names, at any depth.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries: Vec<_> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    entries.sort();
    let mut found = Vec::new();
    for entry in entries {
        if entry.is_dir() {
            found.extend(files(&entry)?);
        } else {
            found.push(entry);
        }
    }
    Ok(found)
}
