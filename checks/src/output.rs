//! Whether what a case printed is what its header says.

/// Lines of output that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Whether their order is promised.
    pub order: Order,
    /// The lines. `[..]` stands for anything within a line, a line `...` for any lines.
    pub lines: Vec<String>,
}

/// Whether an order is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The one given.
    Given,
    /// None: the threads decide.
    Any,
}

/// Checks the whole `output` against the blocks, one after the other.
///
/// # Errors
///
/// Both, if they do not agree.
pub fn check(blocks: &[Block], output: &str) -> Result<(), String> {
    let lines: Vec<&str> = output.lines().map(str::trim_end).collect();
    if blocks_match(blocks, &lines) {
        return Ok(());
    }
    let mut message = String::from("the output is not what the header says\n");
    for block in blocks {
        let order = if block.order == Order::Any { ", in any order" } else { "" };
        message += &format!("expected{order}:\n");
        block.lines.iter().for_each(|line| message += &format!("  | {line}\n"));
    }
    message += "printed:\n";
    for line in &lines {
        let known = blocks
            .iter()
            .flat_map(|block| &block.lines)
            .any(|p| p != "..." && line_matches(p, line));
        message += &format!("{} | {line}\n", if known { " " } else { "?" });
    }
    Err(message + "(? fits no line of the header)")
}

fn blocks_match(blocks: &[Block], lines: &[&str]) -> bool {
    let [block, rest @ ..] = blocks else { return lines.is_empty() };
    let patterns: Vec<&str> = block.lines.iter().map(String::as_str).collect();
    // A block with `...` can end anywhere, any other one takes as many lines as it has.
    let fixed = patterns.iter().filter(|p| **p != "...").count();
    let most = if fixed < patterns.len() { lines.len() } else { fixed };
    (fixed..=most.min(lines.len())).any(|count| {
        let (mine, others) = lines.split_at(count);
        let fits = match block.order {
            Order::Given => in_order(&patterns, mine),
            Order::Any => in_any_order(&patterns, mine),
        };
        fits && blocks_match(rest, others)
    })
}

fn in_order(patterns: &[&str], lines: &[&str]) -> bool {
    match (patterns, lines) {
        ([], _) => lines.is_empty(),
        (["...", rest @ ..], _) => {
            (0..=lines.len()).any(|skipped| in_order(rest, &lines[skipped..]))
        }
        ([pattern, patterns @ ..], [line, lines @ ..]) => {
            line_matches(pattern, line) && in_order(patterns, lines)
        }
        (_, []) => false,
    }
}

/// Whether each pattern can have a line of its own. If one line fits several, the
/// assignment is changed along an augmenting path (Kuhn's algorithm for bipartite matching).
fn in_any_order(patterns: &[&str], lines: &[&str]) -> bool {
    let named: Vec<&str> = patterns.iter().copied().filter(|p| *p != "...").collect();
    let mut owner: Vec<Option<usize>> = vec![None; lines.len()];
    let all_placed = (0..named.len())
        .all(|p| place(p, &named, lines, &mut owner, &mut vec![false; lines.len()]));
    all_placed && (named.len() < patterns.len() || owner.iter().all(Option::is_some))
}

fn place(
    pattern: usize,
    patterns: &[&str],
    lines: &[&str],
    owner: &mut [Option<usize>],
    seen: &mut [bool],
) -> bool {
    for (i, line) in lines.iter().enumerate() {
        if !seen[i] && line_matches(patterns[pattern], line) {
            seen[i] = true;
            let free = owner[i].is_none_or(|other| place(other, patterns, lines, owner, seen));
            if free {
                owner[i] = Some(pattern);
                return true;
            }
        }
    }
    false
}

fn line_matches(pattern: &str, line: &str) -> bool {
    let Some((first, rest)) = pattern.split_once("[..]") else { return pattern == line };
    let Some(line) = line.strip_prefix(first) else { return false };
    let tails = line.char_indices().map(|(i, _)| i).chain([line.len()]);
    tails.into_iter().any(|i| line_matches(rest, &line[i..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(blocks: &[(Order, &str)], output: &str) -> bool {
        let blocks: Vec<_> = blocks
            .iter()
            .map(|(order, lines)| Block {
                order: *order,
                lines: lines.lines().map(String::from).collect(),
            })
            .collect();
        check(&blocks, output).is_ok()
    }

    #[test]
    fn order_counts_where_it_is_promised() {
        assert!(fits(&[(Order::Given, "a\nb")], "a\nb\n"));
        assert!(!fits(&[(Order::Given, "a\nb")], "b\na\n"));
        assert!(fits(&[(Order::Any, "a\nb")], "b\na\n"));
    }

    #[test]
    fn no_line_is_too_many_or_too_few() {
        for order in [Order::Given, Order::Any] {
            assert!(!fits(&[(order, "a\nb")], "a\nb\nb\n"));
            assert!(!fits(&[(order, "a\nb")], "a\n"));
            assert!(!fits(&[(order, "a\nb")], "a\na\n"));
            assert!(!fits(&[(order, "")], "a\n"));
            assert!(fits(&[(order, "")], ""));
        }
    }

    #[test]
    fn blocks_come_one_after_the_other() {
        let blocks = [(Order::Any, "a\nb"), (Order::Given, "sum = 0")];
        assert!(fits(&blocks, "b\na\nsum = 0\n"));
        assert!(!fits(&blocks, "b\nsum = 0\na\n"));
    }

    #[test]
    fn dots_stand_for_anything() {
        assert!(fits(&[(Order::Given, "took [..] ms[..]")], "took 3 ms\n"));
        assert!(!fits(&[(Order::Given, "took [..] ms")], "took 3 s\n"));
        assert!(fits(&[(Order::Given, "a\n...\nd")], "a\nb\nc\nd\n"));
        assert!(fits(&[(Order::Given, "a\n...\nd")], "a\nd\n"));
        assert!(!fits(&[(Order::Given, "a\n...\nd")], "a\nb\n"));
        assert!(fits(&[(Order::Any, "...\nd")], "x\nd\ny\n"));
        assert!(fits(&[(Order::Given, "[..]互[..]")], "a 互 b\n"));
    }

    #[test]
    fn a_greedy_line_leaves_the_exact_one_its_own() {
        assert!(fits(&[(Order::Any, "a [..]\na b")], "a b\na c\n"));
        assert!(fits(&[(Order::Any, "[..]\na [..]\na b")], "a b\na c\nx\n"));
        assert!(!fits(&[(Order::Any, "a [..]\na b")], "a c\na d\n"));
    }
}
