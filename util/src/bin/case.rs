//! `cargo case NAME`: runs a case by its name, and fetches and compiles only what its package
//! needs.
//!
//! `cargo run --example NAME` runs any case as well, but cargo then fetches what all packages of
//! the workspace need before it looks for the name. This finds the package first.

use std::{
    env,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};
use util::{args::Args, text::visible};

const HELP: &str = "\
Runs one case of the workspace by its name.

Usage: cargo case [CARGO-OPTION]... <NAME> [ARGUMENT]...

  <NAME>           as in `cargo run --example <NAME>`; without one, all names are listed
  [CARGO-OPTION]   an option of `cargo run` without a value, such as --release
  [ARGUMENT]       what the case takes; --help prints its header
  -h, --help       print this help
  -V, --version    print the version";

fn main() -> util::Result<ExitCode> {
    let _output = util::output::start();
    let mut words = env::args_os().skip(1).peekable();
    let is_ours = |word: &OsString| ["-h", "--help", "-V", "--version"].iter().any(|w| word == w);
    if words.peek().is_some_and(is_ours) {
        Args::new(HELP).finish();
    }
    let mut options = Vec::new();
    while let Some(option) = words.next_if(|word| word.as_encoded_bytes().starts_with(b"-")) {
        options.push(option);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it stands in the workspace");
    let cases = cases(root)?;
    let Some(name) = words.next() else {
        cases.iter().for_each(|(name, _)| println!("{name}"));
        return Ok(ExitCode::SUCCESS);
    };
    let Some((_, package)) = cases.iter().find(|(known, _)| name == **known) else {
        let part = name.to_string_lossy();
        let close: Vec<_> =
            cases.iter().map(|(name, _)| name.as_str()).filter(|n| n.contains(&*part)).collect();
        let hint =
            if close.is_empty() { "`cargo case` lists all".into() } else { close.join(", ") };
        return Err(format!("no case is called {:?}: {hint}", visible(&name)).into());
    };
    let mut command = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    command.args(["run", "--manifest-path"]).arg(package.join("Cargo.toml")).args(options);
    command.arg("--example").arg(name).arg("--").args(words);
    become_it(command)
}

/// Goes on as `command`, so that its end is this program's, a signal's too.
#[cfg(unix)]
fn become_it(mut command: Command) -> util::Result<ExitCode> {
    Err(std::os::unix::process::CommandExt::exec(&mut command).into())
}

/// Runs `command`, and ends with its status.
#[cfg(not(unix))]
fn become_it(mut command: Command) -> util::Result<ExitCode> {
    let code = command.status()?.code();
    Ok(ExitCode::from(code.and_then(|code| code.try_into().ok()).unwrap_or(101)))
}

/// The names of all cases in the order of their files, and the directory of each one's package.
fn cases(root: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let is_chapter = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        name.first().is_some_and(u8::is_ascii_digit)
    };
    let mut found = Vec::new();
    for chapter in sorted(root)?.into_iter().filter(is_chapter) {
        for package in [chapter.clone()].into_iter().chain(sorted(&chapter)?) {
            if !package.join("Cargo.toml").is_file() {
                continue;
            }
            for path in sorted(&package.join("examples")).unwrap_or_default() {
                let is_case =
                    path.extension().is_some_and(|e| e == "rs") || path.join("main.rs").is_file();
                if is_case && let Some(name) = path.file_stem().and_then(|name| name.to_str()) {
                    found.push((name.to_owned(), package.clone()));
                }
            }
        }
    }
    Ok(found)
}

fn sorted(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    paths.sort();
    Ok(paths)
}
