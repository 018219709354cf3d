//! The pages agree with the cases, with each other, and with what they link to.
//!
//! - A case's title in its header is its line in the chapter's index (`README.md`), word for word,
//!   and its Chinese title stands in the Chinese index. `UPDATE=1 cargo test -p checks --test
//!   pages` writes the English one.
//! - The notes in both languages have the section that the header names, and quote or name the
//!   case.
//! - Both languages have the same sections with the same quotes.
//! - Every link and every quote leads to something that is there.
//! - A source that prints on standard error does it with `util`'s macro, which does not panic.

use checks::{Case, header::Header};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const BEGIN: &str = "<!-- cases: written by a test from the headers -->\n";
const END: &str = "<!-- end of cases -->\n";

/// A case with all that its header says.
struct Entry {
    case: Case,
    number: String,
    chinese: String,
    english: String,
    /// `02-threads.md#mutex`
    section: String,
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn entries() -> Vec<Entry> {
    checks::cases().unwrap().into_iter().map(entry).collect()
}

fn entry(case: Case) -> Entry {
    let wrong = |what: &str| -> ! { panic!("{}: {what}", case.source.display()) };
    let header = Header::parse(&read(&case.source)).unwrap_or_else(|e| wrong(&e));
    let parts: Vec<&str> = header.title.splitn(3, " · ").collect();
    let [number, chinese, english] = parts[..] else {
        wrong("the title is not `1.2 · 中文 · English`")
    };
    // The file's number has zeros in front, which only keep a list of files tidy.
    if !number.split('.').map(|part| part.parse().ok()).eq(case.number().into_iter().map(Some)) {
        wrong(&format!("the title's number is {number:?}, the file's {:?}", case.number()));
    }
    if !english.ends_with('.') || !english.contains(": ") || chinese.is_ascii() {
        wrong("the title is not `… · 中文 · Name: one sentence.`");
    }
    for begin in ["Python: ", "Rust: "] {
        if !header.text.lines().any(|line| line.starts_with(begin)) {
            wrong(&format!("no line begins with `{begin}`"));
        }
    }
    if !header.text.contains(&format!("Run: `cargo run --example {}", case.name)) {
        wrong("no line says how to run it");
    }
    let section =
        header.text.split("Notes: `notes/en/").nth(1).and_then(|rest| rest.split('`').next());
    let section = section.unwrap_or_else(|| wrong("no line says where the notes are"));
    if !header.text.contains(&format!("`notes/en/{section}` · `notes/zh-CN/{section}`")) {
        wrong("the notes are not named in both languages");
    }
    let (number, chinese, english) = (number.into(), chinese.into(), english.into());
    Entry { number, chinese, english, section: section.into(), case }
}

impl Entry {
    /// The beginning of its row in the index.
    fn row(&self, title: &str) -> String {
        let path = self.case.source.strip_prefix(&self.case.chapter).unwrap().display().to_string();
        format!("| {} | [`{}`]({path}) | {title} |", self.number, self.case.name)
    }

    fn link(&self, language: &str, word: &str) -> String {
        format!(" [{word}](../notes/{language}/{}) |\n", self.section)
    }
}

/// The entries of one chapter, in the order of the table.
fn of_chapter(chapter: &Path) -> Vec<Entry> {
    entries().into_iter().filter(|entry| entry.case.chapter == chapter).collect()
}

/// The names that `cargo case` knows are those of all cases.
#[test]
fn every_case_is_run_by_its_name() {
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let mut command = std::process::Command::new(cargo);
    let output = command.current_dir(checks::root()).arg("case").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let listed = String::from_utf8(output.stdout).unwrap();
    let mut listed: Vec<&str> = listed.lines().collect();
    let cases = checks::cases().unwrap();
    let mut expected: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    listed.sort();
    expected.sort();
    assert_eq!(listed, expected);
}

#[test]
fn the_index_says_what_the_headers_say() {
    for chapter in checks::chapters().unwrap() {
        let mut table = String::from(
            "\n| number | case | what it shows | notes |\n| --- | --- | --- | --- |\n",
        );
        for entry in of_chapter(&chapter) {
            table += &(entry.row(&entry.english) + &entry.link("en", "notes"));
        }
        let path = chapter.join("README.md");
        let page = read(&path);
        let (before, rest) = page.split_once(BEGIN).expect("the index has its marks");
        let (is, after) = rest.split_once(END).expect("the index has its marks");
        table += "\n";
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, [before, BEGIN, &table, END, after].concat()).unwrap();
        } else {
            let stale = format!("{}: UPDATE=1 cargo test -p checks --test pages", path.display());
            for (is, should) in is.lines().zip(table.lines()) {
                assert_eq!(is, should, "{stale}");
            }
            assert_eq!(is.lines().count(), table.lines().count(), "{stale}");
        }
    }
}

#[test]
fn the_chinese_index_has_the_same_cases() {
    for chapter in checks::chapters().unwrap() {
        let page = read(&chapter.join("README.zh-CN.md"));
        let rows: Vec<&str> = page.lines().filter(|line| line.contains("examples/")).collect();
        let expected = of_chapter(&chapter);
        assert_eq!(rows.len(), expected.len(), "as many rows as cases");
        for (row, entry) in rows.iter().zip(expected) {
            let begin = entry.row(&entry.chinese);
            assert!(row.starts_with(&begin), "expected {begin}\n     got {row}");
            assert!(format!("{row}\n").ends_with(&entry.link("zh-CN", "笔记")), "{row}");
        }
    }
}

#[test]
fn the_notes_tell_of_every_case_in_both_languages() {
    for entry in entries() {
        for language in ["en", "zh-CN"] {
            let (page, section) = entry.section.split_once('#').expect("PAGE#SECTION");
            let path = checks::root().join("notes").join(language).join(page);
            let page = Page::read(&path);
            assert!(page.sections.contains(section), "{}: no section #{section}", path.display());
            assert!(
                page.text.contains(&entry.case.name),
                "{}: {}",
                path.display(),
                entry.case.name
            );
        }
    }
}

#[test]
fn both_languages_have_the_same_sections_and_quotes() {
    let notes = checks::root().join("notes");
    let names = |language: &str| -> BTreeSet<_> {
        let pages = checks::entries(&notes.join(language)).unwrap();
        pages.iter().filter_map(|path| path.file_name().map(ToOwned::to_owned)).collect()
    };
    assert_eq!(names("en"), names("zh-CN"));
    for name in
        names("en").iter().filter(|name| Path::new(name).extension().is_some_and(|e| e == "md"))
    {
        let [en, zh] = ["en", "zh-CN"].map(|language| Page::read(&notes.join(language).join(name)));
        assert_eq!(en.sections, zh.sections, "{}", name.display());
        assert_eq!(en.quotes, zh.quotes, "{}", name.display());
    }
}

#[test]
fn every_link_and_quote_leads_somewhere() {
    let pages = files("md");
    assert!(pages.len() >= 6, "{pages:?}");
    for path in pages {
        let page = Page::read(&path);
        let folder = path.parent().unwrap();
        for link in &page.links {
            let (file, section) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { folder.join(file) };
            assert!(target.exists(), "{}: no {link}", path.display());
            if !section.is_empty() {
                let sections = Page::read(&target).sections;
                assert!(
                    sections.contains(section),
                    "{}: no {link} in {sections:?}",
                    path.display()
                );
            }
        }
        for (file, anchor) in &page.quotes {
            let source = read(&folder.join(file));
            for mark in ["ANCHOR", "ANCHOR_END"] {
                let mark = format!("// {mark}: {anchor}\n");
                assert!(source.contains(&mark), "{}: {file} has no {mark}", path.display());
            }
        }
    }
}

/// `std`'s macros panic if standard error cannot be written, which changes what the program does.
#[test]
fn no_source_prints_on_standard_error_with_a_macro_that_panics() {
    let sources = files("rs");
    assert!(sources.len() >= 100, "{sources:?}");
    let is_test = |path: &Path| path.iter().any(|part| part == "tests" || part == "tests.rs");
    let mut users = 0;
    for path in sources.iter().filter(|path| !is_test(path.strip_prefix(checks::root()).unwrap())) {
        let text = read(path);
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let (uses, code): (Vec<_>, Vec<_>) = code.partition(|line| {
            let line = line.trim();
            line == "eprintln," || line.starts_with("use ") && line.contains("eprintln")
        });
        for line in code {
            let prints = |name: &str| line.contains(name) && !line.contains("macro_rules!");
            assert!(!prints("eprint!") && !prints("dbg!"), "{}: {line}", path.display());
            if prints("eprintln!") && !line.contains("crate::eprintln!") {
                users += 1;
                assert!(!uses.is_empty(), "{}: `use util::eprintln`: {line}", path.display());
            }
        }
    }
    assert!(users >= 10, "{users}");
}

/// All files below the root with this extension that are kept in the project.
fn files(extension: &str) -> Vec<PathBuf> {
    let (mut folders, mut found) = (vec![checks::root().to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for path in checks::entries(&folder).unwrap() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() && !name.starts_with('.') && name != "target" && name != "book" {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    found
}

/// What a page of Markdown refers to, and what can be referred to in it.
struct Page {
    text: String,
    sections: BTreeSet<String>,
    /// Those that lead to a file or a section of this project.
    links: Vec<String>,
    /// `{{#include FILE:ANCHOR}}`, in order.
    quotes: Vec<(String, String)>,
}

impl Page {
    fn read(path: &Path) -> Page {
        let text = read(path);
        let (mut sections, mut links) = (BTreeSet::new(), Vec::new());
        let mut heading: Option<(Option<String>, String)> = None;
        for event in
            Parser::new_ext(&text, Options::ENABLE_TABLES | Options::ENABLE_HEADING_ATTRIBUTES)
        {
            match event {
                Event::Start(Tag::Heading { id, .. }) => {
                    heading = Some((id.map(String::from), String::new()))
                }
                Event::Text(words) | Event::Code(words) => {
                    if let Some((_, title)) = &mut heading {
                        title.push_str(&words);
                    }
                }
                Event::End(TagEnd::Heading(_)) => {
                    let (id, title) = heading.take().expect("a heading began");
                    sections.insert(id.unwrap_or_else(|| slug(&title)));
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. })
                    if !dest_url.contains("://") =>
                {
                    links.push(dest_url.into_string());
                }
                _ => {}
            }
        }
        let quotes = text.split("{{#include ").skip(1).map(|rest| {
            let (quote, _) = rest.split_once("}}").expect("an include ends");
            let (file, anchor) = quote.rsplit_once(':').expect("FILE:ANCHOR");
            (file.to_owned(), anchor.to_owned())
        });
        let quotes = quotes.collect();
        Page { sections, links, quotes, text }
    }
}

/// The name that a heading without one gets.
fn slug(title: &str) -> String {
    let kept = title
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .collect::<String>();
    kept.replace(' ', "-")
}
