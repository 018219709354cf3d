//! What `TIMELINE` makes of a real case, and what it does when it cannot.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

fn run(name: &str, timeline: &str, folder: &Path) -> Output {
    Command::new(checks::program(name))
        .env("TIMELINE", timeline)
        .env("TICK_MS", "5")
        .env_remove("COLUMNS")
        .current_dir(folder)
        .output()
        .unwrap()
}

#[test]
fn each_picture_is_made_whole_and_alone() {
    let folder = tempfile::tempdir().unwrap();
    for (file, begins, ends) in [
        ("a.svg", "<svg ", "</svg>\n"),
        ("a b.html", "<!doctype html>", "</html>\n"),
        ("互.json", "[\n", "]\n"),
    ] {
        let output = run("28_11_mutex", file, folder.path());
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        let picture = fs::read_to_string(folder.path().join(file)).unwrap();
        assert!(picture.starts_with(begins) && picture.ends_with(ends), "{file}");
        assert!(picture.contains("subtract") && picture.contains("28_11_mutex"), "{file}");
        fs::remove_file(folder.path().join(file)).unwrap();
    }
    assert!(checks::entries(folder.path()).unwrap().is_empty(), "nothing else is left");
}

#[test]
fn the_terminal_gets_text_without_colours_when_it_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let output = run("28_11_mutex", "1", folder.path());
    let chart = String::from_utf8(output.stderr).unwrap();
    assert!(chart.contains("█ holds   ░ waits") && !chart.contains('\x1b'), "{chart}");
    assert!(String::from_utf8(output.stdout).unwrap().ends_with("sum = 0\n"));
}

#[test]
fn a_deadlock_and_a_childs_end_are_drawn_as_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["013_deadlock", "28_2_main_exits_first"] {
        let output = run(name, "1", folder.path());
        let chart = String::from_utf8(output.stderr).unwrap();
        assert!(chart.contains("✗ cut off"), "{chart}");
    }
}

#[test]
fn children_are_in_their_parents_picture() {
    let folder = tempfile::tempdir().unwrap();
    let output = run("008_daemon_threads", "1", folder.path());
    let chart = String::from_utf8(output.stderr).unwrap();
    for child in [
        "008_daemon_threads --child return (process ",
        "008_daemon_threads --child scope (process ",
    ] {
        assert_eq!(chart.matches(child).count(), 1, "{chart}");
    }
}

#[test]
fn what_cannot_be_drawn_is_an_error_before_the_case_runs() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("folder.svg")).unwrap();
    for (wrong, named) in [
        (
            "yes",
            "TIMELINE=\"yes\" is invalid: expected 1, or a file name that ends in .svg, .html or .json",
        ),
        ("a.png", "TIMELINE=\"a.png\" is invalid"),
        ("nowhere/a.svg", "TIMELINE=\"nowhere/a.svg\" cannot be written: No such file"),
        ("folder.svg", "TIMELINE=\"folder.svg\" cannot be written: is a directory"),
        ("/proc/a.svg", "TIMELINE=\"/proc/a.svg\" cannot be written"),
    ] {
        let output = run("28_11_mutex", wrong, folder.path());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.starts_with("error: ") && said.contains(named) && said.lines().count() == 1,
            "{said}"
        );
        assert!(output.status.code() == Some(2) && output.stdout.is_empty());
    }
    for off in ["", "0"] {
        assert!(run("28_11_mutex", off, folder.path()).stderr.is_empty());
    }
    assert_eq!(checks::entries(folder.path()).unwrap().len(), 1, "no file was made");
}
