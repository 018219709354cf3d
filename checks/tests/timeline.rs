//! What `TIMELINE` makes of a real case, and what it does when it cannot.

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::{
    fs::{self, File},
    io::{Read, Seek},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread,
    time::{Duration, Instant},
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
fn the_terminal_gets_text_without_colors_when_it_is_none() {
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

/// Starts `command` in a process group of its own, waits until the record of its timeline contains
/// `event`, and sends the signal to the group or to the process alone. Returns how it ended, and
/// its standard error. No process of it and no file but `picture` may be left.
fn interrupted(
    command: &mut Command,
    timeline: &str,
    event: &str,
    signal: Signal,
    alone: bool,
) -> (ExitStatus, String, Option<String>) {
    let folder = tempfile::tempdir().unwrap();
    let mut stderr = tempfile::tempfile().unwrap();
    command
        .env("TIMELINE", timeline)
        .env_remove("COLUMNS")
        .current_dir(folder.path())
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr.try_clone().unwrap());
    let mut process = Killed(command.spawn().unwrap());
    until(event, || record(process.0.id()).is_some_and(|record| record.contains(event)));
    let id = Pid::from_child(&process.0);
    let sent = if alone { kill_process(id, signal) } else { kill_process_group(id, signal) };
    sent.unwrap();
    let status = checks::run::ended(&mut process.0);
    until("its processes are gone", || !runs_in(folder.path()));
    let picture = fs::read_to_string(folder.path().join(timeline)).ok();
    let files = checks::entries(folder.path()).unwrap();
    assert_eq!(files.len(), usize::from(picture.is_some()), "{files:?}");
    let mut said = String::new();
    stderr.rewind().unwrap();
    stderr.read_to_string(&mut said).unwrap();
    (status, said, picture)
}

/// A child that does not outlive a test that fails.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < checks::run::TIME_LIMIT, "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// What the timeline of this process has recorded so far.
fn record(process: u32) -> Option<String> {
    let files = checks::entries(Path::new(&format!("/proc/{process}/fd"))).ok()?;
    let is_record = |file: &&_| {
        fs::read_link(file).is_ok_and(|name| name == Path::new("/memfd:timeline (deleted)"))
    };
    let mut text = String::new();
    File::open(files.iter().find(is_record)?).ok()?.read_to_string(&mut text).ok()?;
    Some(text)
}

/// Whether the current directory of any process is `folder`.
fn runs_in(folder: &Path) -> bool {
    let processes = checks::entries(Path::new("/proc")).unwrap();
    processes.iter().any(|one| fs::read_link(one.join("cwd")).is_ok_and(|cwd| cwd == folder))
}

/// A case in the middle of sleeping a minute.
fn sleeper(name: &str) -> Command {
    let mut command = Command::new(checks::program(name));
    command.env("TICK_MS", "60000");
    command
}

#[test]
fn ctrl_c_draws_what_there_was_and_ends_the_case() {
    for (name, event, rows, spans) in [
        (
            "28_4_main_waits_forever",
            "loop 2, 1\n",
            &["thread 1", "thread 2"][..],
            &["loop 1, 1"][..],
        ),
        ("001_process", "dancing 1\n", &["Process-2"], &["dancing 1"]),
        ("28_13_clock_process", "other things\n", &["parent"], &["other things"]),
        ("014_gevent", "\tc\n", &["014_gevent", "main"], &[]),
    ] {
        for (timeline, begins, ends) in [
            ("a.svg", "<svg ", "</svg>\n"),
            ("a.html", "<!doctype html>", "</html>\n"),
            ("a.json", "[\n", "]\n"),
            ("1", "", "\n"),
        ] {
            let (status, said, picture) =
                interrupted(&mut sleeper(name), timeline, event, Signal::INT, false);
            assert_eq!(status.signal(), Some(2), "{name} {timeline}: {status}: {said}");
            let picture = if timeline == "1" {
                assert!(said.contains("✗ cut off"), "{said}");
                said
            } else {
                assert_eq!(said, "", "{name} {timeline}");
                picture.expect("a picture")
            };
            assert!(picture.starts_with(begins) && picture.ends_with(ends), "{picture}");
            // In text, the name of a short span does not fit into its bar.
            let spans = if timeline == "1" { &[] } else { spans };
            for text in [&[name], rows, spans].concat() {
                assert!(picture.contains(text), "{name}: {text} is not in {picture}");
            }
        }
    }
}

#[test]
fn other_signals_that_end_a_case_draw_too() {
    for (signal, alone) in [(Signal::TERM, true), (Signal::HUP, false), (Signal::INT, true)] {
        let (status, said, picture) =
            interrupted(&mut sleeper("001_process"), "a.svg", "dancing 1\n", signal, alone);
        assert_eq!((status.signal(), said.as_str()), (Some(signal.as_raw()), ""));
        assert!(picture.expect("a picture").contains("dancing 1"));
    }
    // This one cannot be handled.
    let (status, _, picture) =
        interrupted(&mut sleeper("001_process"), "a.svg", "dancing 1\n", Signal::KILL, true);
    assert_eq!((status.signal(), picture), (Some(9), None));
}

#[test]
fn a_case_that_ignores_or_handles_ctrl_c_still_does() {
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' INT; exec \"$0\" --for 20"]).env("TICK_MS", "50");
    command.arg(checks::program("28_4_main_waits_forever"));
    let (status, said, picture) =
        interrupted(&mut command, "a.svg", "loop 2, 1\n", Signal::INT, false);
    assert!(status.success() && said.is_empty(), "{status}: {said}");
    assert!(picture.expect("a picture").contains("loop 1, 15"), "it went on to its end");

    let mut command = Command::new(checks::program("016_fetch_pool"));
    command.args(["--at-once", "1"]).env("TICK_MS", "200");
    let (status, said, picture) = interrupted(&mut command, "a.svg", "/3\n", Signal::INT, false);
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(picture.expect("a picture").contains("fetch"));
}

#[test]
fn a_variable_that_no_signal_left_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let program = checks::program("28_11_mutex");
    for value in ["", "x", "1 0 2", "1 0 2 3", "0 99999999999 2"] {
        let mut command = Command::new(&program);
        command.env("TIMELINE_INTERRUPTED", value).env("TIMELINE", "a.svg").env("TICK_MS", "5");
        let output = command.current_dir(folder.path()).output().unwrap();
        assert!(output.status.success() && !output.stdout.is_empty(), "{output:?}");
    }
}
