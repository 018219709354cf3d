//! Every file under a chapter's `compile_fail/` is refused by the compiler, and for its own reason:
//! the error's code, `E0373`, stands at the end of the line it points at, behind `//~`. Codes stay when
//! the compiler's words change.

use libtest_mimic::{Arguments, Failed, Trial};
use std::{fs, path::Path};
use util::compiler::{self, Refusal};

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for chapter in checks::chapters().expect("the chapters can be read") {
        for file in checks::entries(&chapter.join("compile_fail")).expect("they can be read") {
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            trials.push(Trial::test(name, move || check(&file)));
        }
    }
    assert!(!trials.is_empty(), "no file was found");
    libtest_mimic::run(&arguments, trials).exit();
}

fn check(file: &Path) -> Result<(), Failed> {
    let source = fs::read_to_string(file)?;
    let expected: Vec<Refusal> = source
        .lines()
        .zip(1..)
        .filter_map(|(text, line)| {
            let (_, code) = text.split_once("//~")?;
            Some(Refusal { line, code: code.trim().into() })
        })
        .collect();
    if expected.is_empty() {
        Err("no line says `//~ E…`: which error is it about?")?;
    }
    let answer = compiler::check(file)?;
    if answer.refusals != expected {
        let is = &answer.refusals;
        Err(format!("expected {expected:?}\n     got {is:?}\n{}", answer.message))?;
    }
    Ok(())
}
