//! Makes the page from what the benchmarks left in the target folder.

use benches::{
    curves,
    figures::Figures,
    files::{target, write_whole},
    language::{LANGUAGES, Language},
    machine::Machine,
    page::Report,
    results::Results,
};
use std::{error::Error, process::ExitCode};
use util::{args::Args, eprintln};

const HELP: &str = "Usage: report [--pages] [--claims]

Makes one page of what was measured: report.html and report.md, and both in Chinese, in the folder `report`
of the target folder. Measure first: scripts/bench, or scripts/report for both.

  --claims  print the verdicts on the notes' claims, one a line
  --pages   also write the figures into README.md, README.zh-CN.md, benches/README.md and benches/figures.json";

fn main() -> ExitCode {
    let mut args = Args::new(HELP);
    let (pages, claims) = (args.flag("--pages"), args.flag("--claims"));
    args.finish();
    match make(pages, claims) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

fn make(pages: bool, claims: bool) -> Result<(), Box<dyn Error>> {
    let folder = target();
    let (results, curves) = (Results::read(&folder)?, curves::read(&folder)?);
    if results.is_empty() && curves.is_empty() {
        return Err(format!(
            "nothing was measured yet in {}: run scripts/bench, or scripts/report",
            folder.display()
        )
        .into());
    }
    let report = Report { machine: Machine::here(), results, curves };
    if claims {
        for (claim, python, rust) in report.findings() {
            let words = [python, rust].map(|finding| finding.verdict.text().en);
            println!("{:<36} Python: {:<18} Rust: {}", claim.id, words[0], words[1]);
        }
    }
    for language in LANGUAGES {
        let name = |extension: &str| {
            folder.join("report").join(format!("report{}.{extension}", language.suffix()))
        };
        write_whole(&name("html"), &report.html(language))?;
        write_whole(&name("md"), &report.markdown(language))?;
        if language == Language::English {
            println!("{}", name("html").display());
        }
    }
    if pages {
        Figures::of(&report).write()?;
    }
    Ok(())
}
