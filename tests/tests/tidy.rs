//! Style as a test: what a review says twice becomes a check here. `docs/STYLE.md` gives the reasons.

use std::fs;
use std::path::{Path, PathBuf};

/// The repository's top level: exactly this, and dot and meta files.
const TOP_LEVEL: [&str; 7] = [
    "Cargo.toml",
    "server",
    "client",
    "statemachine",
    "tests",
    "scripts",
    "docs",
];
const TOP_LEVEL_META: [&str; 7] = [
    "Cargo.lock",
    "README.md",
    "LICENSE",
    "rustfmt.toml",
    "clippy.toml",
    "deny.toml",
    "target",
];
/// Names that say nothing of what is in a file.
const EMPTY_NAMES: [&str; 4] = ["utils", "common", "helpers", "types"];
/// A file is split at this many lines, its tests apart.
const FILE_LINES_MAX: usize = 500;
/// Longer today, and to be split by whoever changes them next. Nothing is added here.
const LONG_TODAY: [&str; 0] = [];
/// A function is looked at above this, and split above the other.
const FUNCTION_LINES_WISHED: usize = 70;
const FUNCTION_LINES_MAX: usize = 150;

/// (below, must not mention, because)
const FLOORS: [(&str, &[&str], &str); 10] = [
    (
        "statemachine/src",
        &[
            "tokio::",
            "std::fs",
            "std::time",
            "std::thread",
            "std::env",
            "HashMap",
            "client::",
            "server::",
        ],
        "the core is pure",
    ),
    (
        "statemachine/src/plan",
        &["crate::apply"],
        "apply calls plan, never the other way",
    ),
    (
        "statemachine/src/log",
        &["crate::apply", "crate::plan", "crate::state"],
        "stored shapes know no logic",
    ),
    (
        "client/src",
        &["server::", "rocksdb", "openraft"],
        "the client knows nothing of the server's inside",
    ),
    (
        "client/src/wire",
        &["reqwest", "tokio", "crate::cli", "crate::file"],
        "wire is plain data",
    ),
    (
        "server/src/daemon",
        &["crate::raft", "crate::storage", "crate::api", "openraft", "rocksdb"],
        "a daemon talks to the manager over HTTP only, as on a remote machine",
    ),
    (
        "server/src/supervisor",
        &[
            "crate::raft",
            "crate::storage",
            "crate::api",
            "crate::daemon::core",
            "tokio",
            "reqwest",
            "axum",
        ],
        "a supervisor is small: one thread, no network",
    ),
    (
        "server/src/storage",
        &["crate::api", "crate::daemon", "axum"],
        "storage is below everything else of the server",
    ),
    (
        "server/src/raft",
        &["crate::api", "crate::daemon"],
        "raft is below the API",
    ),
    (
        "server/src/api",
        &[
            "crate::storage::log",
            "crate::storage::keys",
            "crate::storage::snapshot",
            "crate::daemon",
            "openraft",
            "rocksdb",
        ],
        "the API sees RaftNode and the journal, not what is behind them",
    ),
];

/// Where a core type may be given to serde: stored shapes and the newtypes that they are made of.
const CORE_SERDE: [&str; 4] = [
    "statemachine/src/id.rs",
    "statemachine/src/time.rs",
    "statemachine/src/log/",
    "statemachine/src/snapshot/",
];

#[test]
fn the_top_level_is_what_everybody_knows() {
    let mut wrong = Vec::new();
    for entry in fs::read_dir(root()).expect("the repository").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let known = TOP_LEVEL.contains(&name.as_str()) || TOP_LEVEL_META.contains(&name.as_str());
        if !known && !name.starts_with('.') {
            wrong.push(name);
        }
    }
    report("not at the top level", wrong);
}

#[test]
fn imports_point_down() {
    let mut wrong = Vec::new();
    for file in rust_files() {
        let name = relative(&file);
        for (below, banned, why) in FLOORS {
            if !name.starts_with(below) {
                continue;
            }
            for (number, line) in code(&file) {
                if let Some(word) = banned.iter().find(|word| mentions(&line, word)) {
                    wrong.push(format!("{name}:{number}: {word}: {why}"));
                }
            }
        }
    }
    report("imports that do not point down", wrong);
}

#[test]
fn the_core_depends_on_almost_nothing() {
    let text = fs::read_to_string(root().join("statemachine/Cargo.toml")).expect("statemachine/Cargo.toml");
    let manifest: toml::Table = text.parse().expect("TOML");
    let dependencies = manifest
        .get("dependencies")
        .and_then(toml::Value::as_table)
        .expect("a table of dependencies");
    let wrong = dependencies
        .keys()
        .filter(|name| !matches!(name.as_str(), "serde" | "thiserror"))
        .cloned()
        .collect();
    report("dependencies of statemachine beside serde and thiserror", wrong);
}

#[test]
fn core_types_are_not_given_to_serde() {
    let mut wrong = Vec::new();
    for file in rust_files() {
        let name = relative(&file);
        if !name.starts_with("statemachine/src") || CORE_SERDE.iter().any(|allowed| name.starts_with(allowed)) {
            continue;
        }
        for (number, line) in code(&file) {
            // Digests walk stored shapes as a serializer would: only what is derived counts.
            if line.contains("derive(") && line.contains("erialize") {
                wrong.push(format!("{name}:{number}: convert to a stored or a wire shape instead"));
            }
        }
    }
    report("core types with serde", wrong);
}

#[test]
fn stored_shapes_have_no_machine_sized_integers() {
    let mut wrong = Vec::new();
    for file in rust_files() {
        let name = relative(&file);
        if name.starts_with("statemachine/src/log/") || name.starts_with("statemachine/src/snapshot/v") {
            for (number, line) in code(&file).into_iter().filter(|(_, line)| mentions(line, ": usize")) {
                wrong.push(format!("{name}:{number}: {}", line.trim()));
            }
        }
    }
    report("usize in stored shapes", wrong);
}

#[test]
fn files_are_short_and_say_what_they_are() {
    let mut wrong = Vec::new();
    for file in rust_files() {
        let name = relative(&file);
        let text = fs::read_to_string(&file).expect("a source file");
        let lines = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
        let may_be_long = is_test(&name)
            || name.contains("/log/v")
            || name.contains("/snapshot/v")
            || LONG_TODAY.contains(&name.as_str());
        if lines > FILE_LINES_MAX && !may_be_long {
            wrong.push(format!("{name}: {lines} lines: split it"));
        }
        if !text.starts_with("//!") {
            wrong.push(format!("{name}: begins without a paragraph that says what it is"));
        }
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if EMPTY_NAMES.contains(&stem.as_str()) {
            wrong.push(format!("{name}: name it after what is in it"));
        }
    }
    report("files", wrong);
}

#[test]
fn functions_are_short() {
    let (mut wrong, mut long) = (Vec::new(), 0);
    for file in rust_files() {
        for (name, line, length) in functions(&fs::read_to_string(&file).expect("a source file")) {
            if length > FUNCTION_LINES_MAX && !is_test(&relative(&file)) {
                wrong.push(format!("{}:{line}: {name} has {length} lines", relative(&file)));
            } else if length > FUNCTION_LINES_WISHED {
                long += 1;
                println!("long: {}:{line}: {name} has {length} lines", relative(&file));
            }
        }
    }
    println!("{long} functions have more than {FUNCTION_LINES_WISHED} lines");
    report("functions that are too long", wrong);
}

#[test]
fn every_file_is_reachable() {
    let mut wrong = Vec::new();
    for file in rust_files() {
        let name = relative(&file);
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let folder = file.parent().expect("a folder");
        let in_src = name.contains("/src/") || name.contains("/scenarios/");
        if !in_src || name.contains("/bin/") || matches!(stem.as_str(), "lib" | "main") {
            continue;
        }
        let (module, home) = if stem == "mod" {
            (folder.file_name(), folder.parent())
        } else {
            (file.file_stem(), Some(folder))
        };
        let (Some(module), Some(home)) = (module, home) else {
            continue;
        };
        let parents = [
            home.join("mod.rs"),
            home.join("lib.rs"),
            home.join("main.rs"),
            home.with_extension("rs"),
        ];
        let declaration = format!("mod {};", module.to_string_lossy());
        let by_path = format!("#[path = \"{stem}.rs\"]");
        let beside = rust_files().into_iter().filter(|f| f.parent() == Some(folder));
        let declared = parents
            .into_iter()
            .any(|p| fs::read_to_string(p).is_ok_and(|text| text.contains(&declaration)))
            || beside
                .into_iter()
                .any(|p| fs::read_to_string(p).is_ok_and(|text| text.contains(&by_path)));
        if !declared {
            wrong.push(format!("{name}: no `{declaration}` in its parent"));
        }
    }
    report("files that nothing reaches", wrong);
}

#[test]
fn nothing_is_left_over() {
    let marks = [
        concat!("dbg", "!("),
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
        concat!("TO", "DO"),
    ];
    let paths = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
    let mut wrong = Vec::new();
    for file in tracked_files() {
        let name = relative(&file);
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for (number, line) in text.lines().enumerate() {
            let left = marks.iter().chain(&paths).find(|mark| line.contains(**mark));
            if let Some(mark) = left {
                wrong.push(format!("{name}:{}: {mark}", number + 1));
            }
        }
    }
    report("left over, or of one machine only", wrong);
}

#[test]
fn dependencies_come_from_one_place() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock");
    let expected = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
    let wrong = lock
        .lines()
        .filter(|l| l.starts_with("source = ") && *l != expected)
        .map(str::to_owned)
        .collect();
    report("dependencies from elsewhere", wrong);
    assert!(
        !root().join(".cargo/config.toml").exists(),
        "settings of one machine do not belong in the repository"
    );
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut wrong = Vec::new();
    for file in tracked_files()
        .into_iter()
        .filter(|f| f.extension().is_some_and(|e| e == "md"))
    {
        let text = fs::read_to_string(&file).expect("a document");
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = target.split('#').next().unwrap_or_default();
            let outside = path.is_empty() || path.contains("://");
            if !outside && !file.parent().expect("a folder").join(path).exists() {
                wrong.push(format!("{}: {target}", relative(&file)));
            }
        }
    }
    report("links to nothing", wrong);
}

fn report(what: &str, wrong: Vec<String>) {
    assert!(wrong.is_empty(), "{what}:\n  {}", wrong.join("\n  "));
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the repository")
        .to_owned()
}

fn relative(file: &Path) -> String {
    file.strip_prefix(root()).unwrap_or(file).to_string_lossy().into_owned()
}

/// Tests are lists of cases: their length is no measure of what a reader must hold in mind.
fn is_test(name: &str) -> bool {
    name.contains("/tests/") || name.ends_with("tests.rs")
}

fn rust_files() -> Vec<PathBuf> {
    let mut files = tracked_files();
    files.retain(|file| file.extension().is_some_and(|e| e == "rs"));
    files
}

fn tracked_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for name in TOP_LEVEL
        .iter()
        .chain(&["README.md", "clippy.toml", "deny.toml", "rustfmt.toml", ".ci"])
    {
        walk(&root().join(name), &mut files);
    }
    files.sort();
    files
}

fn walk(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_dir() {
        let Ok(entries) = fs::read_dir(path) else { return };
        entries
            .flatten()
            .filter(|e| e.file_name() != "target")
            .for_each(|entry| walk(&entry.path(), files));
    } else if path.is_file() {
        files.push(path.to_owned());
    }
}

/// The lines of a file that are code: without comments, and without its tests.
fn code(file: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(file).expect("a source file");
    let lines = text.lines().enumerate().take_while(|(_, line)| *line != "#[cfg(test)]");
    lines
        .map(|(number, line)| (number + 1, line.split("//").next().unwrap_or_default().to_owned()))
        .filter(|(_, line)| !line.trim().is_empty())
        .collect()
}

/// Whether a line names this path, and not one that merely ends in it.
fn mentions(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
    })
}

/// (name, line, length) of each function, by the indentation that rustfmt gives.
fn functions(text: &str) -> Vec<(String, usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (begin, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let Some((before, rest)) = line.split_once("fn ") else {
            continue;
        };
        let head = before.trim();
        if !head.split(' ').all(|w| {
            w.is_empty() || w.starts_with("pub") || matches!(w, "async" | "const" | "unsafe" | "extern" | "\"C\"")
        }) {
            continue;
        }
        let closing = format!("{}}}", " ".repeat(indent));
        if let Some(length) = lines[begin..].iter().position(|l| *l == closing) {
            let name = rest.split(['(', '<']).next().unwrap_or_default().to_owned();
            found.push((name, begin + 1, length + 1));
        }
    }
    found
}
