//! The published crates: each is packaged as it would be uploaded, and a program outside the
//! workspace uses the package. What the README shows is what runs there, in a program, in a unit
//! test and in an integration test. No network is needed: the dependencies are those of the
//! workspace's `Cargo.lock`, which cargo has already.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const CRATES: [&str; 2] = ["multiproc", "multiproc-manager"];

fn cargo(directory: &Path, target: &Path, arguments: &[&str]) -> Output {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    for (variable, _) in std::env::vars_os() {
        // They are about this package.
        if variable.to_string_lossy().starts_with("CARGO_PKG") {
            cargo.env_remove(variable);
        }
    }
    cargo.current_dir(directory).env("CARGO_TARGET_DIR", target).env("CARGO_TERM_COLOR", "never");
    let output = cargo.args(arguments).arg("--offline").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {arguments:?}: {}\n{said}", output.status);
    assert!(!said.contains("warning"), "cargo {arguments:?}\n{said}");
    output
}

/// Packages both crates, and unpacks them into `place`.
fn package(place: &Path) {
    let mut arguments = vec!["package", "--no-verify", "--allow-dirty"];
    CRATES.iter().for_each(|name| arguments.extend(["-p", name]));
    cargo(checks::root(), &place.join("target"), &arguments);
    for name in CRATES {
        let file = place.join(format!("target/package/{name}-0.1.0.crate"));
        let unpacked = Command::new("tar").arg("-xzf").arg(&file).current_dir(place).status();
        assert!(unpacked.unwrap().success(), "{}", file.display());
        for wanted in ["Cargo.toml", "README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"] {
            let path = place.join(format!("{name}-0.1.0")).join(wanted);
            assert!(fs::metadata(&path).is_ok_and(|file| file.len() > 0), "{}", path.display());
        }
    }
}

/// The code of the first block of Rust in a README.
fn first_code(readme: &Path) -> String {
    let text = fs::read_to_string(readme).unwrap();
    let code = text.split("```rust\n").nth(1).expect("it begins with code");
    code.split("```").next().unwrap().to_owned()
}

fn write(path: PathBuf, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn a_program_outside_the_workspace_uses_the_packages() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    package(place);
    let user = place.join("user");
    write(
        user.join("Cargo.toml"),
        r#"
            [package]
            name = "user"
            version = "0.1.0"
            edition = "2024"

            [dependencies]
            multiproc = { path = "../multiproc-0.1.0" }
            multiproc-manager = { path = "../multiproc-manager-0.1.0" }

            [patch.crates-io]
            multiproc = { path = "../multiproc-0.1.0" }

            [profile.dev]
            debug = false
            incremental = false
        "#,
    );
    fs::copy(checks::root().join("Cargo.lock"), user.join("Cargo.lock")).unwrap();
    let readme = first_code(&place.join("multiproc-0.1.0/README.md"));
    assert!(readme.lines().filter(|line| !line.is_empty()).count() <= 15, "ten lines, or so");
    let test = r#"
        multiproc::init_tests!();

        #[test]
        fn a_child_and_a_pool() {
            assert_eq!(multiproc::spawn(|n: u32| n + 1, 1).unwrap().join(), Ok(2));
            let pool = multiproc::Pool::new().unwrap();
            assert_eq!(pool.map(|n: u32| n * n, 0..3).unwrap(), [0, 1, 4]);
        }
    "#;
    write(user.join("src/main.rs"), &format!("{readme}\n#[cfg(test)]\nmod tests {{\n{test}\n}}\n"));
    write(user.join("tests/outside.rs"), test);
    let manager = first_code(&place.join("multiproc-manager-0.1.0/README.md"));
    write(user.join("src/bin/manager.rs"), &manager);

    let target = place.join("target");
    let output = cargo(&user, &target, &["run", "--quiet", "--bin", "user"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "7 [0, 1, 4, 9]\n");
    cargo(&user, &target, &["run", "--quiet", "--bin", "manager"]);
    let output = cargo(&user, &target, &["test", "--bin", "user", "--test", "outside"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said.matches("a_child_and_a_pool ... ok").count(), 2, "{said}");
}

/// The section of the library's front page, without the links of rustdoc.
fn section(page: &str, title: &str) -> String {
    let lines = page
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .skip_while(|line| *line != format!("# {title}"))
        .skip(1)
        .take_while(|line| !line.starts_with("# "));
    let text = lines.collect::<Vec<_>>().join("\n");
    let mut plain = String::new();
    let mut rest = text.trim();
    while let Some((before, link)) = rest.split_once("[`") {
        let (name, after) = link.split_once("`]").expect("a link ends");
        plain += before;
        plain += &format!("`{name}`");
        rest = match after.strip_prefix('(') {
            // The target may have parentheses itself, as in `init()`.
            Some(target) => {
                let end = target.find("))").map_or_else(|| target.find(')'), |end| Some(end + 1));
                let near = target.find(')').expect("a target ends");
                let end = end.filter(|end| *end == near + 1).unwrap_or(near);
                &target[end + 1..]
            }
            None => after,
        };
    }
    plain + rest
}

/// The sections that the README has in common with the library's front page are written from
/// there: `UPDATE=1 cargo test -p checks --test publish`.
#[test]
fn the_readme_says_what_the_front_page_says() {
    let directory = checks::root().join("03-processes/multiproc");
    let page = fs::read_to_string(directory.join("src/lib.rs")).unwrap();
    let path = directory.join("README.md");
    let mut readme = fs::read_to_string(&path).unwrap();
    let before = readme.clone();
    for title in ["From Python", "When something dies"] {
        let begin = format!("<!-- section of lib.rs: {title} -->\n");
        let (head, rest) = readme.split_once(&begin).expect("the section's mark");
        let (_, tail) = rest.split_once("<!-- end of section -->").expect("the section's end");
        let text = section(&page, title);
        assert!(text.len() > 500, "{title}: {text}");
        readme = format!("{head}{begin}\n{text}\n\n<!-- end of section -->{tail}");
    }
    if std::env::var_os("UPDATE").is_some() {
        fs::write(path, readme).unwrap();
    } else {
        assert_eq!(before, readme, "UPDATE=1 cargo test -p checks --test publish");
    }
}
