//! The files under `examples/`.

use std::{fs, path::Path};

use schemas::SchemaEntry;
use serde_json::Value;

pub struct Example {
    pub entry: &'static SchemaEntry,
    pub valid: bool,
    /// The file's name without its ending: for an invalid one, the field and what is wrong with it.
    pub name: String,
    pub data: Value,
}

impl Example {
    pub fn title(&self) -> String {
        format!("{}/{}/{}", self.entry.title(), if self.valid { "valid" } else { "invalid" }, self.name)
    }

    /// What the example holds in fields that are personal or secret.
    pub fn guarded(&self) -> Vec<String> {
        let fields = ["email", "previousEmail", "displayName", "tokenSealed"];
        fields.iter().filter_map(|field| self.data[field].as_str()).map(str::to_owned).collect()
    }
}

/// Every example; a file that belongs to no version is a failure.
pub fn examples() -> Vec<Example> {
    let mut all = Vec::new();
    for event_type in names(&crate::folder("examples")) {
        let of_type = crate::folder("examples").join(&event_type);
        for version in names(&of_type) {
            let number = version.strip_prefix('v').and_then(|text| text.parse().ok());
            let entry = number.and_then(|number| SchemaEntry::find(&event_type, number));
            let entry = entry.unwrap_or_else(|| panic!("examples/{event_type}/{version} belongs to no schema"));
            for kind in names(&of_type.join(&version)) {
                let valid = match kind.as_str() {
                    "valid" => true,
                    "invalid" => false,
                    _ => panic!("examples/{event_type}/{version}/{kind} is neither valid nor invalid"),
                };
                let of_kind = of_type.join(&version).join(&kind);
                all.extend(names(&of_kind).iter().map(|file| read(entry, valid, &of_kind.join(file))));
            }
        }
    }
    all
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = entries.collect();
    names.sort();
    names
}

fn read(entry: &'static SchemaEntry, valid: bool, path: &Path) -> Example {
    assert_eq!(path.extension().unwrap(), "json", "{}", path.display());
    let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
    let data = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    Example { entry, valid, name, data }
}
