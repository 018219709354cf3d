//! The page that lists a folder.
//!
//! A folder may have any number of entries, and a client may take its time to read them. So no more
//! than a piece of the page is in memory: the folder is read once for each piece, and the names
//! that come next in order are picked. An entry that is there all the time is listed once.

use crate::{status::Status, target};
use rustix::fs::{Dir, FileType};
use std::{collections::BinaryHeap, io::Write, os::fd::OwnedFd};

/// How much of memory the names of one piece take, at least. A large folder has larger pieces, so
/// that it is not read too often.
const PIECE: usize = 64 * 1024;
/// In how many pieces a folder is listed at the most, if it does not grow meanwhile.
const PIECES: usize = 16;
/// What a name takes in addition to its bytes.
const OVERHEAD: usize = 48;

/// A folder that is listed: its entries by name, folders with a slash behind them.
#[derive(Debug)]
pub struct Listing {
    folder: Dir,
    title: Vec<u8>,
    /// The name up to which it is listed.
    last: Option<Vec<u8>>,
    piece: usize,
    /// Whether the pieces are sent as chunks, so that the client sees their end.
    pub is_chunked: bool,
}

impl Listing {
    /// The folder at `path`, relative to the root.
    ///
    /// # Errors
    ///
    /// 500, if it cannot be read.
    pub fn new(folder: OwnedFd, path: &[u8]) -> Result<Listing, Status> {
        let mut title = b"/".to_vec();
        if !path.is_empty() {
            title.extend(path);
            title.push(b'/');
        }
        let folder = Dir::new(folder).map_err(|_| Status::InternalError)?;
        Ok(Listing { folder, title, last: None, piece: PIECE, is_chunked: false })
    }

    /// Appends the next piece of the page. Returns whether it was the last.
    ///
    /// # Errors
    ///
    /// 500, if the folder cannot be read.
    pub fn write(&mut self, page: &mut Vec<u8>) -> Result<bool, Status> {
        let (names, is_all) = self.next_names().map_err(|_| Status::InternalError)?;
        if self.last.is_none() {
            page.extend(b"<!DOCTYPE html>\n<html>\n<head><meta charset=\"utf-8\"><title>");
            escape(&self.title, page);
            page.extend(b"</title></head>\n<body>\n<h1>");
            escape(&self.title, page);
            page.extend(b"</h1>\n<ul>\n");
            if self.title != b"/" {
                page.extend(b"<li><a href=\"../\">../</a></li>\n");
            }
        }
        for name in &names {
            page.extend(b"<li><a href=\"./"); // so that a colon in a name begins no scheme
            target::encode(name, page);
            page.extend(b"\">");
            escape(name, page);
            page.extend(b"</a></li>\n");
        }
        if is_all {
            page.extend(b"</ul>\n</body>\n</html>\n");
        }
        self.last = names.into_iter().next_back().or(self.last.take());
        Ok(is_all)
    }

    /// Appends the next piece to `out`, as it is sent; see [`write`](Self::write).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn send(&mut self, out: &mut Vec<u8>) -> Result<bool, Status> {
        let mut page = Vec::new();
        let is_last = self.write(&mut page)?;
        self.wrap(&page, out);
        if is_last && self.is_chunked {
            out.extend(b"0\r\n\r\n");
        }
        Ok(is_last)
    }

    /// Appends a piece to `out`, as it is sent.
    pub fn wrap(&self, piece: &[u8], out: &mut Vec<u8>) {
        match self.is_chunked {
            true if piece.is_empty() => {} // it would be the end
            true => {
                let _ = write!(out, "{:x}\r\n", piece.len());
                out.extend(piece);
                out.extend(b"\r\n");
            }
            false => out.extend(piece),
        }
    }

    /// The names behind the last one, in order, as many as are in a piece; and whether these are
    /// all.
    fn next_names(&mut self) -> rustix::io::Result<(Vec<Vec<u8>>, bool)> {
        let (mut names, mut size, mut total) = (BinaryHeap::<Vec<u8>>::new(), 0, 0);
        let mut end: Option<Vec<u8>> = None; // the first name that is not in this piece
        self.folder.rewind();
        while let Some(entry) = self.folder.read() {
            let entry = entry?;
            let mut name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let mut slashed;
            if entry.file_type() == FileType::Directory {
                slashed = name.to_vec();
                slashed.push(b'/');
                name = &slashed;
            }
            total += name.len() + OVERHEAD;
            let is_listed = self.last.as_deref().is_some_and(|last| name <= last);
            if is_listed || end.as_deref().is_some_and(|end| name >= end) {
                continue;
            }
            size += name.len() + OVERHEAD;
            names.push(name.to_vec());
            while size > self.piece && names.len() > 1 {
                end = names.pop();
                size -= end.as_ref().map_or(0, Vec::len) + OVERHEAD;
            }
        }
        self.piece = PIECE.max(total / PIECES);
        Ok((names.into_sorted_vec(), end.is_none()))
    }
}

/// Appends `text` to a page so that nothing in it is markup; what is not UTF-8 is shown as �.
fn escape(text: &[u8], page: &mut Vec<u8>) {
    for character in String::from_utf8_lossy(text).chars() {
        match character {
            '&' => page.extend(b"&amp;"),
            '<' => page.extend(b"&lt;"),
            '>' => page.extend(b"&gt;"),
            '"' => page.extend(b"&quot;"),
            _ => page.extend(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, fs::File, path::Path};

    fn listing(folder: &Path, path: &[u8]) -> Listing {
        Listing::new(File::open(folder).unwrap().into(), path).unwrap()
    }

    #[test]
    fn names_are_data_and_not_markup() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b", "a&<b>\"c", "你 好", "javascript:x", "%41"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        fs::create_dir(folder.path().join("a")).unwrap();
        let mut page = Vec::new();
        assert!(listing(folder.path(), b"x<y").write(&mut page).unwrap());
        let page = String::from_utf8(page).unwrap();
        let expected = "<title>/x&lt;y/</title></head>\n<body>\n<h1>/x&lt;y/</h1>\n<ul>\n\
            <li><a href=\"../\">../</a></li>\n\
            <li><a href=\"./%2541\">%41</a></li>\n\
            <li><a href=\"./a%26%3Cb%3E%22c\">a&amp;&lt;b&gt;&quot;c</a></li>\n\
            <li><a href=\"./a/\">a/</a></li>\n\
            <li><a href=\"./b\">b</a></li>\n\
            <li><a href=\"./javascript%3Ax\">javascript:x</a></li>\n\
            <li><a href=\"./%E4%BD%A0%20%E5%A5%BD\">你 好</a></li>\n</ul>";
        assert!(page.contains(expected), "{page}");
    }

    #[test]
    fn a_large_folder_is_listed_in_pieces_each_name_once() {
        let folder = tempfile::tempdir().unwrap();
        // Of many lengths, so that a short name may be in the next piece though it would have had
        // room in this one.
        let mut names: Vec<String> =
            (0..3000).map(|n| format!("{n}{}", "x".repeat(n * 31 % 200))).collect();
        names.iter().for_each(|name| drop(File::create(folder.path().join(name)).unwrap()));
        fs::create_dir(folder.path().join("7")).unwrap();
        names.push("7/".into());
        names.sort_unstable();
        let mut listing = listing(folder.path(), b"");
        let (mut page, mut pieces) = (Vec::new(), 0);
        loop {
            let before = page.len();
            let is_last = listing.write(&mut page).unwrap();
            pieces += 1;
            assert!(page.len() - before < 8 * PIECE, "{}", page.len() - before);
            if pieces == 2 {
                // Behind what is listed it is, before it is not.
                File::create(folder.path().join("0-new")).unwrap();
                fs::remove_file(folder.path().join(names.pop().unwrap())).unwrap();
            }
            if is_last {
                break;
            }
        }
        assert!((5..=PIECES + 2).contains(&pieces), "{pieces}");
        let page = String::from_utf8(page).unwrap();
        let listed: Vec<&str> = page
            .split("<li><a href=\"")
            .skip(1)
            .map(|link| link.split(['>', '<']).nth(1).unwrap())
            .collect();
        assert_eq!(listed, names);
        assert!(page.ends_with("</html>\n") && page.matches("</ul>").count() == 1);
    }
}
