//! One interleaving, step by step: a model checker's schedule as a picture. Time runs downward by
//! the number of the step, since a checker knows an order and no clock.

use super::text::width;
use std::fmt;

/// Who did which step when: a picture with one column per thread and one line per step.
///
/// ```
/// use util::timeline::Steps;
///
/// let mut steps = Steps::default();
/// steps.add("add", "load: 0");
/// steps.add("subtract", "load: 0");
/// steps.add("subtract", "store -1");
/// steps.add("add", "store 1");
/// let picture = "   add      subtract
/// 1  load: 0
/// 2  │        load: 0
/// 3  │        store -1
/// 4  store 1
/// ";
/// assert_eq!(steps.to_string(), picture);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    steps: Vec<(String, String)>,
}

impl Steps {
    /// Adds the next step: `thread` did what `text` says.
    pub fn add(&mut self, thread: impl fmt::Display, text: impl fmt::Display) {
        self.steps.push((thread.to_string(), text.to_string()));
    }

    /// Keeps the steps, by thread and text, for which `is_kept` holds.
    pub fn retain(&mut self, is_kept: impl Fn(&str, &str) -> bool) {
        self.steps.retain(|(thread, text)| is_kept(thread, text));
    }

    /// How many steps there are.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether there is no step.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// How often one thread's step follows another one's.
    pub fn switches(&self) -> usize {
        self.steps.windows(2).filter(|pair| pair[0].0 != pair[1].0).count()
    }

    /// In the order of their first steps.
    fn threads(&self) -> Vec<&str> {
        let mut threads: Vec<&str> = Vec::new();
        for (thread, _) in &self.steps {
            if !threads.contains(&thread.as_str()) {
                threads.push(thread);
            }
        }
        threads
    }
}

impl fmt::Display for Steps {
    /// A thread between its first step and its last is a line, `│`.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let digits = self.steps.len().to_string().len();
        // For each thread: its name, how wide its column is, and the places of its first and last
        // step.
        let columns: Vec<(&str, usize, usize, usize)> = self
            .threads()
            .into_iter()
            .map(|thread| {
                let of = |(name, _): &(String, String)| name == thread;
                let texts = self.steps.iter().filter(|step| of(step)).map(|(_, text)| width(text));
                let wide = texts.max().unwrap_or(0).max(width(thread));
                let first = self.steps.iter().position(of).unwrap_or(0);
                (thread, wide, first, self.steps.iter().rposition(of).unwrap_or(0))
            })
            .collect();
        let mut line = |number: &str, cells: Vec<&str>| {
            let mut line = format!("{number:>digits$}");
            for (cell, (_, wide, ..)) in cells.into_iter().zip(&columns) {
                line += &format!("  {cell}{}", " ".repeat(wide - width(cell)));
            }
            writeln!(f, "{}", line.trim_end())
        };
        line("", columns.iter().map(|(thread, ..)| *thread).collect())?;
        for (i, (of, text)) in self.steps.iter().enumerate() {
            let cells = columns.iter().map(|(thread, _, first, last)| match thread {
                _ if *thread == of => text,
                _ if (*first..*last).contains(&i) => "│",
                _ => "",
            });
            line(&(i + 1).to_string(), cells.collect())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_stands_in_them() {
        let mut steps = Steps::default();
        steps.add("读者", "waits");
        steps.add("b", "等待 A");
        steps.add("读者", "x");
        assert_eq!(steps.to_string(), "   读者   b\n1  waits\n2  │      等待 A\n3  x\n");
        assert_eq!((steps.len(), steps.switches()), (3, 2));
    }

    #[test]
    fn a_step_can_be_dropped() {
        let mut steps = Steps::default();
        steps.add("a", "waits for A");
        steps.add("b", "waits for A");
        steps.retain(|thread, _| thread == "b");
        assert_eq!(steps.to_string(), "   b\n1  waits for A\n");
        steps.retain(|_, text| !text.starts_with("waits"));
        assert!(steps.is_empty() && steps.to_string() == "\n");
    }
}
