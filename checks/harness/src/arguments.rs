//! The command line of a test program: that of the standard harness.

/// What the command line asks for.
#[derive(Debug, Default)]
pub struct Arguments {
    filters: Vec<String>,
    skip: Vec<String>,
    exact: bool,
    /// Only ignored tests are asked for, and no test of this harness is ignored.
    ignored: bool,
    /// Print the names of the tests instead of running them.
    pub list: bool,
    /// How many tests to run at once.
    pub threads: Option<usize>,
}

/// Options without a value that mean nothing here: nothing is captured, and there is one format.
const FLAGS: [&str; 8] = [
    "--nocapture",
    "--no-capture",
    "--show-output",
    "--include-ignored",
    "--quiet",
    "-q",
    "--test",
    "--bench",
];

/// Options with a value that mean nothing here.
const VALUES: [&str; 4] = ["--color", "--format", "--logfile", "-Z"];

impl Arguments {
    /// # Errors
    ///
    /// If an option is unknown, or its value is missing or not valid.
    pub fn parse(words: impl Iterator<Item = String>) -> Result<Arguments, String> {
        let mut arguments = Arguments::default();
        let mut words = words.flat_map(|word| match word.split_once('=') {
            Some((option, value)) if option.starts_with("--") => vec![option.into(), value.into()],
            _ => vec![word],
        });
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("option {word} needs a value"));
            match word.as_str() {
                "--list" => arguments.list = true,
                "--exact" => arguments.exact = true,
                "--ignored" => arguments.ignored = true,
                "--skip" => arguments.skip.push(value()?),
                "--test-threads" => {
                    let text = value()?;
                    let number = text.parse().ok().filter(|number| *number > 0);
                    let wrong =
                        || format!("--test-threads {text}: expected a number from 1 upwards");
                    arguments.threads = Some(number.ok_or_else(wrong)?);
                }
                known if FLAGS.contains(&known) => {}
                known if VALUES.contains(&known) => drop(value()?),
                option if option.starts_with('-') => Err(format!("unknown option {option}"))?,
                _ => arguments.filters.push(word),
            }
        }
        Ok(arguments)
    }

    /// Whether the test of this name is to run.
    pub fn chooses(&self, name: &str) -> bool {
        let is = |filter: &String| if self.exact { name == filter } else { name.contains(filter) };
        !self.ignored
            && (self.filters.is_empty() || self.filters.iter().any(is))
            && !self.skip.iter().any(is)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    fn chosen(line: &str) -> Vec<&'static str> {
        let arguments = parse(line).unwrap();
        ["one", "two", "one_more"].into_iter().filter(|name| arguments.chooses(name)).collect()
    }

    #[test]
    fn filters_choose() {
        assert_eq!(chosen(""), ["one", "two", "one_more"]);
        assert_eq!(chosen("one"), ["one", "one_more"]);
        assert_eq!(chosen("--exact one"), ["one"]);
        assert_eq!(chosen("more two --nocapture --color always"), ["two", "one_more"]);
        assert_eq!(chosen("--skip more --format=terse -q"), ["one", "two"]);
        assert_eq!(chosen("--exact --skip one"), ["two", "one_more"]);
        assert_eq!(chosen("--ignored"), [""; 0]);
    }

    #[test]
    fn options_are_checked() {
        assert_eq!(parse("--test-threads=3").unwrap().threads, Some(3));
        assert_eq!(parse("--test-threads 3").unwrap().threads, Some(3));
        assert!(parse("--list --format terse").unwrap().list);
        for wrong in ["--test-threads 0", "--test-threads=x", "--test-threads", "--unknown", "-x"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
