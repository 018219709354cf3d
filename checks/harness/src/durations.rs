//! Which functions of a library take a duration: a test of durations must have all of them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The public functions below the directory `source` that take a `Duration`, an `Instant` or a
/// `Deadline`: the first part of the file's path in `source`, without `.rs`, and the name.
///
/// # Panics
///
/// If the sources cannot be read.
pub fn functions_with_a_duration(source: &Path) -> BTreeSet<(String, String)> {
    let (mut found, mut directories) = (BTreeSet::new(), vec![source.to_owned()]);
    while let Some(directory) = directories.pop() {
        let entries = fs::read_dir(directory).expect("the sources are there");
        let entries = entries.map(|entry| entry.expect("they can be listed").path());
        let (more, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
        directories.extend(more);
        for file in files {
            let text = fs::read_to_string(&file).expect("it can be read");
            let below = file.strip_prefix(source).expect("it is below `source`");
            let module = below.iter().next().unwrap_or_default().to_string_lossy();
            for function in text.split("pub fn ").skip(1) {
                let signature = function.split(['{', ';']).next().unwrap_or_default();
                let Some((declared, parameters)) = signature.split_once('(') else { continue };
                let parameters = parameters.split("->").next().unwrap_or_default();
                let types = ["Duration", "Instant", "Deadline"];
                if types.iter().any(|one| parameters.contains(one)) {
                    let name = declared.split('<').next().unwrap_or_default();
                    found.insert((module.trim_end_matches(".rs").to_owned(), name.to_owned()));
                }
            }
        }
    }
    found
}
