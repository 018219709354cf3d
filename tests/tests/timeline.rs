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

/// The luminance of `#rgb` or `#rrggbb`, as WCAG 2 defines it.
fn luminance(color: &str) -> f64 {
    let digits = color.strip_prefix('#').unwrap();
    let size = digits.len() / 3;
    let channel = |i: usize| {
        let part = &digits[i * size..(i + 1) * size];
        let value = u8::from_str_radix(&part.repeat(2 / size), 16).unwrap();
        let share = f64::from(value) / 255.0;
        if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * channel(0) + 0.7152 * channel(1) + 0.0722 * channel(2)
}

#[test]
fn text_has_a_contrast_of_at_least_4_5_in_light_and_dark() {
    let folder = tempfile::tempdir().unwrap();
    run("28_11_mutex", "a.svg", folder.path());
    let picture = fs::read_to_string(folder.path().join("a.svg")).unwrap();
    let palettes: Vec<_> = picture.match_indices("svg,:root{").collect();
    assert_eq!(palettes.len(), 2, "light and dark");
    for (at, _) in palettes {
        let palette = picture[at..].split(['{', '}']).nth(1).unwrap();
        let color = |name: &str| {
            let find = |part: &str| part.strip_prefix(name)?.strip_prefix(':').map(String::from);
            if name.starts_with('#') {
                name.into()
            } else {
                palette.split(';').find_map(find).unwrap()
            }
        };
        for (text, ground) in [
            ("--ink", "--paper"),
            ("--soft", "--paper"),
            ("--ink", "--run"),
            ("#fff", "--hold"),
            ("--cut", "--paper"),
        ] {
            let [a, b] = [text, ground].map(|name| luminance(&color(name)) + 0.05);
            let contrast = a.max(b) / a.min(b);
            assert!(contrast >= 4.5, "{text} on {ground}: {contrast:.2}");
        }
    }
    assert!(!picture.contains("opacity"), "which lowers the contrast");
}

#[test]
fn bars_marks_and_charts_have_names_and_the_page_is_reached_by_keyboard() {
    let folder = tempfile::tempdir().unwrap();
    run("013_deadlock", "a.svg", folder.path());
    let picture = fs::read_to_string(folder.path().join("a.svg")).unwrap();
    assert!(picture.contains("role='img' aria-label='013_deadlock: who ran when'"));
    for shape in ["<rect class='waits' x=", "<rect class='holds' x="] {
        for (at, _) in picture.match_indices(shape) {
            let before = picture[..at].trim_end();
            let is_legend = picture[at..].contains("height='12'") && at > picture.len() - 1000;
            assert!(before.ends_with("</title>") || is_legend, "{}", &picture[at..at + 80]);
        }
    }
    run("013_deadlock", "a.html", folder.path());
    let page = fs::read_to_string(folder.path().join("a.html")).unwrap();
    for part in [
        "role='group' tabindex='0' aria-label='013_deadlock: who ran when'",
        "aria-label='zoom in'",
        "touch-action:pan-y",
        "if (event.ctrlKey) zoom(",
        "box.append(element(\"title\"",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn a_long_name_has_room_or_an_ellipsis() {
    let folder = tempfile::tempdir().unwrap();
    run("016_fetch_pool", "a.svg", folder.path());
    let picture = fs::read_to_string(folder.path().join("a.svg")).unwrap();
    let lines = || picture.lines().filter(|line| line.contains("class='alive'"));
    let number = |line: &str, name: &str| -> f64 {
        let value = line.split_once(&format!("{name}='")).unwrap().1;
        value.split('\'').next().unwrap().parse().unwrap()
    };
    let chart_begins = lines().map(|line| number(line, " x1")).fold(f64::MAX, f64::min);
    for line in lines() {
        let (_, shown) = line.split_once("</title>").unwrap();
        let (shown, _) = shown.split_once("</text>").unwrap();
        let end = number(line, "<text x") + shown.chars().count() as f64 * 7.5;
        assert!(end <= chart_begins, "{shown:?} ends at {end}, the chart begins at {chart_begins}");
    }
}

#[test]
fn a_trace_has_the_ids_and_the_order_of_the_chart() {
    let folder = tempfile::tempdir().unwrap();
    run("5_1_summary", "a.json", folder.path());
    let trace = fs::read_to_string(folder.path().join("a.json")).unwrap();
    let number = |line: &str, name: &str| -> u32 {
        let value = line.split_once(&format!("\"{name}\":")).unwrap().1;
        value.split([',', '}']).next().unwrap().parse().unwrap()
    };
    let named = |what: &str| -> Vec<String> {
        let what = format!("\"name\":\"{what}\"");
        trace.lines().filter(|line| line.contains(&what)).map(String::from).collect()
    };
    for main in named("thread_name").iter().filter(|line| line.contains("{\"name\":\"main\"}")) {
        assert_eq!(number(main, "pid"), number(main, "tid"), "{main}");
    }
    assert_eq!(named("process_sort_index").len(), 3);
    // Each thread's tasks stand below it.
    let child = number(&named("process_sort_index")[1], "pid");
    let mut rows = Vec::new();
    for line in named("thread_name").iter().filter(|line| number(line, "pid") == child) {
        let name = line.rsplit("\"name\":\"").next().unwrap();
        rows.push(name.split('"').next().unwrap().to_owned());
    }
    let place = |name: &str| rows.iter().position(|row| row == name).unwrap();
    for n in 1..=2 {
        let task = |name: &str| place(&format!("task {n}{name}"));
        let (thread, [a, b, c]) = (place(&format!("thread {n}")), ["a", "b", "c"].map(task));
        assert!(thread < a && thread < b && thread < c, "{rows:?}");
        assert_eq!([a, b, c].iter().max().unwrap() - thread, 3, "nothing in between: {rows:?}");
    }
}
