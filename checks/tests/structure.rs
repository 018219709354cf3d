//! How the sources are laid out: no two files of a crate import each other, and comments are no
//! wider than code may be.

use checks::imports::{Crate, Cycle};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Directories whose files still import each other. The test fails if an entry is no longer needed.
/// This list is to be empty.
const KNOWN_CYCLES: [&str; 1] = ["03-processes/copier/src"];

/// Directories with comments that are too long, in the same way.
const KNOWN_WIDE: [&str; 1] = ["03-processes/copier/src"];

/// The longest line of a comment, in characters.
const WIDTH: usize = 100;

/// The directories of all packages of the workspace.
fn packages() -> Vec<PathBuf> {
    let manifest = fs::read_to_string(checks::root().join("Cargo.toml")).unwrap();
    let members = manifest.split_once("members = [").unwrap().1.split(']').next().unwrap();
    let members = members.split('"').skip(1).step_by(2);
    members.map(|member| checks::root().join(member)).collect()
}

/// The root files of all crates of a package: its library, programs, examples, tests, benchmarks.
fn roots(package: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        ["src/lib.rs", "src/main.rs", "build.rs"].map(|name| package.join(name)).into();
    for directory in ["src/bin", "examples", "tests", "benches"] {
        for path in checks::entries(&package.join(directory)).unwrap() {
            if path.is_dir() {
                found.push(path.join("main.rs"));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.retain(|path| path.exists());
    found
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn show(cycle: &Cycle) -> String {
    let short = |path: &Path| path.strip_prefix(checks::root()).unwrap().display().to_string();
    let imports = cycle.imports.iter().map(|(from, to, paths)| {
        format!("  {} imports {}: {}", short(from), short(to), paths.join(", "))
    });
    imports.collect::<Vec<_>>().join("\n")
}

#[test]
fn no_files_import_each_other() {
    let (mut cycles, mut seen) = (Vec::new(), BTreeSet::new());
    for package in packages() {
        for root in roots(&package) {
            let one = Crate::read(&root, &read).unwrap();
            seen.extend(one.files());
            cycles.extend(one.cycles());
        }
    }
    assert!(seen.len() > 200, "only {} files were found", seen.len());
    let is_known = |cycle: &Cycle, known: &str| {
        cycle.files.iter().all(|file| file.starts_with(checks::root().join(known)))
    };
    let new =
        cycles.iter().filter(|cycle| !KNOWN_CYCLES.iter().any(|known| is_known(cycle, known)));
    let new: Vec<String> = new.map(show).collect();
    assert!(new.is_empty(), "files import each other:\n{}", new.join("\n\n"));
    for known in KNOWN_CYCLES {
        assert!(
            cycles.iter().any(|cycle| is_known(cycle, known)),
            "{known} has no cycle any more: delete it from the list"
        );
    }
}

/// Whether a line may be longer: a case's title, which is one line of the index; a row of a table;
/// a case's pages of the notes; a line of a program's output.
fn may_be_long(line: &str, number: usize, in_output: bool) -> bool {
    let text = line.trim_start_matches(['/', '!', ' ']);
    number == 1 && text.contains(" · ")
        || text.starts_with("| ")
        || text.starts_with("Notes: `notes/")
        || in_output
}

/// Whether a comment begins in this line behind code.
fn has_comment_behind_code(line: &str) -> bool {
    line.split_once(" // ").is_some_and(|(code, _)| code.ends_with([';', '{', '}', ',', ')']))
}

#[test]
fn comments_are_as_wide_as_code() {
    let (mut directories, mut long) = (vec![checks::root().to_owned()], Vec::new());
    while let Some(directory) = directories.pop() {
        for path in checks::entries(&directory).unwrap() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() && !name.starts_with('.') && name != "target" && name != "book" {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let mut in_output = false;
                for (line, number) in read(&path).unwrap().lines().zip(1..) {
                    let is_comment = line.trim_start().starts_with("//");
                    if let Some((_, block)) = line.split_once("```") {
                        in_output = is_comment && block.starts_with("output");
                    }
                    let is_long = line.chars().count() > WIDTH
                        && (is_comment || has_comment_behind_code(line))
                        && !may_be_long(line, number, in_output);
                    if is_long {
                        long.push((path.clone(), number));
                    }
                }
            }
        }
    }
    let is_in = |path: &Path, known: &str| path.starts_with(checks::root().join(known));
    for known in KNOWN_WIDE {
        assert!(
            long.iter().any(|(path, _)| is_in(path, known)),
            "{known} has no long comment any more: delete it from the list"
        );
    }
    long.retain(|(path, _)| !KNOWN_WIDE.iter().any(|known| is_in(path, known)));
    assert!(long.is_empty(), "comments are wider than {WIDTH} columns: {long:#?}");
}
