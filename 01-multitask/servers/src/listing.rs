//! The page that lists a folder.

use crate::{answer::Status, target};
use rustix::fs::{Dir, FileType};
use std::os::fd::AsFd;

/// Writes the page for the `folder` at `path` (relative to the root) into `page`: its entries by name, folders with a slash behind them.
///
/// # Errors
///
/// 500, if it cannot be read.
pub fn write(folder: impl AsFd, path: &[u8], page: &mut Vec<u8>) -> Result<(), Status> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder).map_err(|_| Status::InternalError)? {
        let entry = entry.map_err(|_| Status::InternalError)?;
        let mut name = entry.file_name().to_bytes().to_vec();
        if name == b"." || name == b".." {
            continue;
        }
        if entry.file_type() == FileType::Directory {
            name.push(b'/');
        }
        names.push(name);
    }
    names.sort_unstable();

    let mut title = b"/".to_vec();
    if !path.is_empty() {
        title.extend(path);
        title.push(b'/');
    }
    page.clear();
    page.extend(b"<!DOCTYPE html>\n<html>\n<head><meta charset=\"utf-8\"><title>");
    escape(&title, page);
    page.extend(b"</title></head>\n<body>\n<h1>");
    escape(&title, page);
    page.extend(b"</h1>\n<ul>\n");
    if !path.is_empty() {
        page.extend(b"<li><a href=\"../\">../</a></li>\n");
    }
    for name in &names {
        page.extend(b"<li><a href=\"./"); // so that a colon in a name begins no scheme
        target::encode(name, page);
        page.extend(b"\">");
        escape(name, page);
        page.extend(b"</a></li>\n");
    }
    page.extend(b"</ul>\n</body>\n</html>\n");
    Ok(())
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
    use std::{fs, fs::File};

    #[test]
    fn names_are_data_and_not_markup() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b", "a&<b>\"c", "你 好", "javascript:x", "%41"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        fs::create_dir(folder.path().join("a")).unwrap();
        let mut page = Vec::new();
        super::write(File::open(folder.path()).unwrap(), b"x<y", &mut page).unwrap();
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
}
