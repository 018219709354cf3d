//! What the tests of this package share: finding the cases, reading their headers, running them.

pub mod header;
pub mod imports;
pub mod output;
pub mod run;

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

/// One example of a chapter.
#[derive(Clone, Debug)]
pub struct Case {
    /// As in `cargo run --example NAME`.
    pub name: String,
    /// The file with its `main`.
    pub source: PathBuf,
    /// The chapter's folder, directly below the root.
    pub chapter: PathBuf,
}

/// The folder of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package stands in the workspace")
}

/// The chapters' folders: those whose names begin with two digits and a dash.
pub fn chapters() -> io::Result<Vec<PathBuf>> {
    let is_chapter = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        matches!(name.as_bytes(), [b'0'..=b'9', b'0'..=b'9', b'-', ..])
    };
    let mut found: Vec<_> = entries(root())?.into_iter().filter(is_chapter).collect();
    found.sort();
    Ok(found)
}

impl Case {
    /// The number its name begins with: `[28, 11, 1]` for `28_11_1_fine_grained_mutex`.
    pub fn number(&self) -> Vec<u32> {
        self.name.split('_').map_while(|word| word.parse().ok()).collect()
    }
}

/// Every example of every chapter, also of a package inside a chapter's folder, by chapter and
/// number.
pub fn cases() -> io::Result<Vec<Case>> {
    let mut found = Vec::new();
    for chapter in chapters()? {
        let packages =
            entries(&chapter)?.into_iter().filter(|path| path.join("Cargo.toml").exists());
        for package in packages.chain([chapter.clone()]) {
            for path in entries(&package.join("examples"))? {
                let source = if path.is_dir() { path.join("main.rs") } else { path.clone() };
                let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                if source.extension().is_some_and(|e| e == "rs") && source.exists() {
                    found.push(Case { name, source, chapter: chapter.clone() });
                }
            }
        }
    }
    found.sort_by_key(|case| (case.chapter.clone(), case.number(), case.name.clone()));
    Ok(found)
}

/// What stands in `folder`; nothing, if there is no such folder.
pub fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
}

/// The program of the example `name`.
///
/// # Panics
///
/// If the examples cannot be built.
pub fn program(name: &str) -> PathBuf {
    examples().join(name)
}

/// The folder of all examples. They are built first, once, in the profile and the target folder of
/// the test that asks.
///
/// # Panics
///
/// If they cannot be built.
pub fn examples() -> &'static Path {
    &built().examples
}

/// The file of the library `name` with which the examples were built: there may be older ones, with
/// other features, beside it.
///
/// # Errors
///
/// If no example uses such a library.
///
/// # Panics
///
/// If the examples cannot be built.
pub fn library(name: &str) -> Result<PathBuf, String> {
    let begin = format!("lib{name}-");
    let is_it = |path: &&PathBuf| {
        path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&begin))
    };
    let found = built().libraries.iter().find(is_it);
    found.cloned().ok_or(format!("no example uses a library {name}"))
}

struct Built {
    examples: PathBuf,
    /// The `.rlib` of each library.
    libraries: Vec<PathBuf>,
}

fn built() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(build_examples)
}

fn build_examples() -> Built {
    let test = env::current_exe().expect("a test knows its own program");
    // TARGET/PROFILE
    let folder = test.ancestors().nth(2).expect("it stands in TARGET/PROFILE/deps");
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let cargo = env::var_os("CARGO").unwrap_or("cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--workspace", "--examples", "--quiet", "--profile", profile])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(root())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo can be started");
    assert!(output.status.success(), "the examples do not build: {}", output.status);
    // Among cargo's messages, the only texts that end like this are the files of libraries.
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let libraries = messages.split('"').filter(|text| text.ends_with(".rlib"));
    Built { libraries: libraries.map(PathBuf::from).collect(), examples: folder.join("examples") }
}
