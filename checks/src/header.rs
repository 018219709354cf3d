//! A case's header: the comment at the top of its file, which is its documentation and its
//! contract.

use crate::output::{Block, Order};

/// What a header says.
#[derive(Debug, Default, PartialEq)]
pub struct Header {
    /// `28.11 · 互斥锁 · Mutex: …`, the first paragraph on one line.
    pub title: String,
    /// Everything between the title and the output.
    pub text: String,
    /// The arguments with which the output is what the header says.
    pub arguments: Vec<String>,
    /// The exit status.
    pub status: i32,
    /// The output, block after block.
    pub blocks: Vec<Block>,
}

impl Header {
    /// Reads the header of `source`.
    ///
    /// An output block begins with ```` ```output ````; behind it `unordered`, and for the first
    /// one `status=N` and `args="…"`, whose words stand apart by spaces.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(source: &str) -> Result<Header, String> {
        let mut header = Header::default();
        let mut block: Option<Block> = None;
        let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
        for line in lines.map(|line| line.strip_prefix(' ').unwrap_or(line)) {
            match (line.strip_prefix("```"), &mut block) {
                (Some(""), Some(_)) => header.blocks.extend(block.take()),
                (Some(fence), None) => block = Some(header.fence(fence)?),
                (Some(fence), Some(_)) => return Err(format!("```{fence} inside a block")),
                (None, Some(block)) => block.lines.push(line.trim_end().into()),
                (None, None) if header.text.is_empty() && !line.is_empty() => {
                    let space = if header.title.is_empty() { "" } else { " " };
                    header.title += &format!("{space}{line}");
                }
                (None, None) => header.text += &format!("{line}\n"),
            }
        }
        if block.is_some() {
            return Err("a block that does not end".into());
        }
        if header.blocks.is_empty() {
            return Err("no ```output block".into());
        }
        Ok(header)
    }

    fn fence(&mut self, fence: &str) -> Result<Block, String> {
        let unknown =
            || format!("```{fence}: expected ```output [unordered] [status=N] [args=\"…\"]");
        let mut rest = fence.strip_prefix("output").ok_or_else(unknown)?.trim();
        let mut order = Order::Given;
        while !rest.is_empty() {
            let word;
            (word, rest) = if let Some(quoted) = rest.strip_prefix("args=\"") {
                let (arguments, rest) = quoted.split_once('"').ok_or_else(unknown)?;
                self.arguments = arguments.split_whitespace().map(String::from).collect();
                ("", rest.trim_start())
            } else {
                rest.split_once(' ').unwrap_or((rest, ""))
            };
            match word.split_once('=') {
                None if word == "unordered" => order = Order::Any,
                Some(("status", status)) => self.status = status.parse().map_err(|_| unknown())?,
                None if word.is_empty() => {}
                _ => return Err(unknown()),
            }
        }
        Ok(Block { order, lines: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn title_text_and_blocks_are_told_apart() {
        let source = "//! 1 · 一 · One:\n//! two.\n//!\n//! Python: x\n//!\n//! ```output status=1 args=\"--for 3\"\n\
            //! a\n//!   b\n//!\n//! ```\n\
            //! ```output unordered\n//! c\n//! ```\n\nfn main() {}\n";
        let header = Header::parse(source).unwrap();
        assert_eq!(header.title, "1 · 一 · One: two.");
        assert_eq!(header.text, "\nPython: x\n\n");
        assert_eq!((header.status, header.arguments), (1, vec!["--for".into(), "3".into()]));
        let lines = ["a", "  b", ""].map(String::from).to_vec();
        assert_eq!(header.blocks[0], Block { order: Order::Given, lines });
        assert_eq!(header.blocks[1].order, Order::Any);
    }

    #[test]
    fn a_header_without_a_contract_is_none() {
        for wrong in
            ["//! 1 · 一 · One.", "//! t\n//!\n//! ```output\n//! a", "//! t\n//! ```rust\n//! ```"]
        {
            assert!(Header::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Header::parse("//! t\n//! ```output sorted\n//! ```").is_err());
    }
}
