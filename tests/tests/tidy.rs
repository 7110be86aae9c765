//! What we agreed on about the shape of the project, held by a machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Which of our crates each crate may use, by the table in the design. Development dependencies are free.
const MAY_USE: &[(&str, &[&str])] = &[
    ("planted", &[]),
    ("schemas", &[]),
    ("reconcile", &["planted"]),
    ("stream", &["planted", "schemas"]),
    ("endpoint", &["stream"]),
    ("ingest", &["endpoint", "schemas", "stream"]),
    ("processors", &["planted", "schemas", "stream", "reconcile"]),
    ("sinks", &["endpoint", "planted", "schemas", "stream"]),
    ("simulation", &["planted", "schemas", "stream", "reconcile", "processors", "sinks"]),
    ("dashboard", &["schemas", "stream", "reconcile"]),
    ("simulator", &[]),
    ("servers", &[]),
    ("app", &["schemas", "reconcile", "stream", "ingest", "processors", "sinks", "dashboard", "simulation", "simulator", "servers"]),
];

/// What a crate must not know, by the same table.
const MAY_NOT_KNOW: &[(&str, &[&str])] = &[
    ("schemas", &["rdkafka", "sqlx", "tokio-postgres", "reqwest", "axum", "tokio"]),
    ("reconcile", &["serde", "serde_json", "tokio", "bytes", "apache-avro", "rand", "jiff"]),
    ("processors", &["sqlx", "tokio-postgres", "reqwest", "axum", "tonic"]),
];

fn root() -> PathBuf {
    // Cargo runs tests in their package; a path fixed when it was built may be another clone's that shares the build cache.
    Path::new("..").canonicalize().expect("the workspace")
}

fn dependencies(name: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join(name).join("Cargo.toml")).expect("a manifest");
    let manifest: toml::Table = text.parse().expect("toml");
    manifest.get("dependencies").and_then(toml::Value::as_table).map(|table| table.keys().cloned().collect()).unwrap_or_default()
}

/// Every file below a folder with one of these endings, build output aside.
fn files(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["target", "node_modules", ".git"].contains(&name.as_str()) {
                files(&path, endings, found);
            }
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            found.push(path);
        }
    }
}

#[test]
fn crates_use_only_what_the_design_lets_them() {
    let crates: BTreeMap<_, _> = MAY_USE.iter().copied().collect();
    for (name, allowed) in &crates {
        let used = dependencies(name);
        for ours in crates.keys().filter(|ours| used.contains(**ours)) {
            assert!(allowed.contains(ours), "{name} depends on {ours}, which the design does not allow");
        }
    }
    for (name, forbidden) in MAY_NOT_KNOW {
        let used = dependencies(name);
        for dependency in *forbidden {
            assert!(!used.contains(*dependency), "{name} must not know {dependency}");
        }
    }
}

#[test]
fn every_module_opens_with_what_it_is_for() {
    let mut sources = Vec::new();
    files(&root(), &[".rs"], &mut sources);
    assert!(sources.len() > 40, "only {} source files found", sources.len());
    for path in sources {
        let text = fs::read_to_string(&path).expect("text");
        assert!(text.starts_with("//!"), "{} does not open with a module head", path.display());
        assert!(path.file_name().is_some_and(|name| name != "mod.rs"), "{}: name the module by its file", path.display());
    }
}

#[test]
fn the_topic_table_in_the_documents_is_the_one_in_the_code() {
    let found = fs::read_to_string(root().join("docs/topics.md")).expect("docs/topics.md");
    assert_eq!(found, app::topic_table(), "docs/topics.md is out of date: make topics");
}

#[test]
fn documents_have_the_names_people_look_for() {
    for name in [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "LICENSE",
        "docs/metrics.md",
        "docs/topics.md",
        "docs/benchmarks.md",
        "docs/runbook.md",
        "docs/mapping.md",
    ] {
        assert!(root().join(name).is_file(), "{name} is missing");
    }
    let mut decisions = Vec::new();
    files(&root().join("docs/decisions"), &[".md"], &mut decisions);
    for (number, path) in decisions.iter().enumerate() {
        let name = path.file_name().expect("a name").to_string_lossy();
        assert!(name.starts_with(&format!("{:04}-", number + 1)), "{name}: decisions are numbered from 0001 without a hole");
    }
}

#[test]
fn every_metric_has_a_row_that_says_what_bad_looks_like() {
    let rows = fs::read_to_string(root().join("docs/metrics.md")).expect("docs/metrics.md");
    let mut sources = Vec::new();
    files(&root(), &["metrics.rs"], &mut sources);
    let mut names = BTreeSet::new();
    for path in &sources {
        let text = fs::read_to_string(path).expect("text");
        for word in text.split('"').skip(1).step_by(2) {
            let is_metric = ["stream_", "ingest_", "processors_", "sinks_", "dashboard_"].iter().any(|head| word.starts_with(head))
                && !word.ends_with('_')
                && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            if is_metric {
                names.insert(word.to_owned());
            }
        }
    }
    assert!(names.len() > 10, "only {} metrics found", names.len());
    for name in names {
        assert!(rows.contains(&format!("`{name}`")), "docs/metrics.md has no row for {name}");
    }
}

#[test]
fn links_in_documents_lead_somewhere() {
    let mut documents = Vec::new();
    files(&root(), &[".md"], &mut documents);
    for path in documents {
        let text = fs::read_to_string(&path).expect("text");
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") || target.starts_with('#') {
                continue;
            }
            let file = target.split('#').next().unwrap_or(target);
            assert!(path.parent().expect("a folder").join(file).exists(), "{}: {target} does not exist", path.display());
        }
    }
}
