//! Runs `testdata/*/*.txt`. `UPDATE=1` writes what came instead of comparing: read the difference as the specification.

mod support;

use std::fs;
use std::path::Path;

use support::World;
use support::script;

#[test]
fn scripts_come_out_as_written() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testdata");
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    let mut count = 0;
    for folder in ["apply", "plan", "rules"] {
        let mut files: Vec<_> = fs::read_dir(root.join(folder))
            .unwrap()
            .map(|file| file.unwrap().path())
            .collect();
        files.sort();
        for path in files {
            count += 1;
            let expected = fs::read_to_string(&path).unwrap();
            let found = run(&expected);
            if update {
                fs::write(&path, &found).unwrap();
            } else if found != expected {
                wrong.push(format!("{}\n{}", path.display(), first_difference(&expected, &found)));
            }
        }
    }
    assert!(count > 0, "no scripts in {}", root.display());
    assert!(
        wrong.is_empty(),
        "{} of {count} scripts differ (UPDATE=1 rewrites them)\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// The script with all that came of it.
fn run(script: &str) -> String {
    let mut world = World::new();
    let mut out = String::new();
    let mut printed = String::new();
    let mut skipping = false;
    for line in script.lines() {
        if line == "----" {
            skipping = true;
            out += "----\n";
            out += &std::mem::take(&mut printed);
        } else if line.is_empty() {
            skipping = false;
            out += "\n";
        } else if !skipping {
            out += line;
            out += "\n";
            if !line.starts_with('#') {
                printed += &script::line(&mut world, line);
            }
        }
    }
    out
}

fn first_difference(expected: &str, found: &str) -> String {
    let lines = expected
        .lines()
        .zip(found.lines())
        .enumerate()
        .find(|(_, (a, b))| a != b);
    match lines {
        Some((number, (a, b))) => format!("  line {}\n  expected {a}\n  found    {b}", number + 1),
        None => format!(
            "  expected {} lines, found {}",
            expected.lines().count(),
            found.lines().count()
        ),
    }
}
