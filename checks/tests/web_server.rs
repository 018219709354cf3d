//! 5_2_web_server in its five models: the same requests to all of them, by curl, by a browser and
//! by hand, as a program of its own.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpStream},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::{
            ffi::OsStrExt,
            fs::{MetadataExt, PermissionsExt, symlink},
            process::CommandExt,
        },
    },
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const MODELS: [&str; 5] = ["process", "thread", "pool", "async", "epoll"];
/// Only reached when something is wrong.
const DEADLINE: Duration = Duration::from_secs(60);

struct Server {
    process: Child,
    output: BufReader<std::process::ChildStdout>,
    address: String,
}

impl Server {
    fn start(model: &str, root: &Path, more: &[&str]) -> Server {
        let mut command = Command::new(checks::program("5_2_web_server"));
        command.args(["--model", model, "--port", "0", "--root"]).arg(root).args(more);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
        Server { process, output, address }
    }

    fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(&self.address).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket
    }

    /// Sends `request`, and reads until the server closes.
    fn raw(&self, request: &[u8]) -> String {
        let mut socket = self.connect();
        socket.write_all(request).unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The answer to a GET with these lines, which ends the connection.
    fn get(&self, target: &str, lines: &str) -> String {
        let head = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n");
        self.raw(head.as_bytes())
    }

    fn code(&self, target: &str) -> String {
        code(&self.get(target, ""))
    }

    fn signal(&self, signal: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn code(answer: &str) -> String {
    answer.strip_prefix("HTTP/1.1 ").unwrap_or(answer).chars().take(3).collect()
}

/// A root with a few files, and something beside it that nobody may have.
fn site() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("sub/deep")).unwrap();
    fs::create_dir(root.join("indexed")).unwrap();
    fs::write(root.join("a.txt"), "0123456789").unwrap();
    fs::write(root.join("empty"), "").unwrap();
    fs::write(root.join("你 好.html"), "<p>hello").unwrap();
    fs::write(root.join("indexed/index.html"), "<p>index").unwrap();
    let large: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    fs::write(root.join("large.bin"), large).unwrap();
    fs::write(folder.path().join("secret"), "secret").unwrap();
    symlink("../secret", root.join("out")).unwrap();
    symlink(folder.path(), root.join("up")).unwrap();
    symlink("a.txt", root.join("in")).unwrap();
    folder
}

/// Runs `test` against each model, all at the same time.
fn each(more: &[&str], test: fn(Server, &Path)) {
    thread::scope(|s| {
        for model in MODELS {
            s.spawn(move || {
                let folder = site();
                let root = folder.path().join("root");
                test(Server::start(model, &root, more), &root);
            });
        }
    });
}

#[test]
fn a_real_client_gets_files_whole_and_in_part() {
    each(&[], |server, root| {
        let curl = |arguments: &[&str], path: &str| {
            let mut command = Command::new("curl");
            command.args(["-sS", "--max-time", "60", "--path-as-is"]).args(arguments);
            let output = command.arg(format!("http://{}{path}", server.address)).output();
            let output = output.expect("curl is installed");
            let complaint = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{path}: {complaint}");
            output.stdout
        };
        assert_eq!(curl(&[], "/a.txt"), b"0123456789");
        assert_eq!(curl(&[], "/in"), b"0123456789");
        assert_eq!(curl(&[], "/%E4%BD%A0%20%E5%A5%BD.html"), "<p>hello".as_bytes());
        assert_eq!(curl(&["-r", "2-4"], "/a.txt"), b"234");
        assert_eq!(curl(&["-r", "-3"], "/a.txt"), b"789");
        assert_eq!(curl(&["-L"], "/indexed"), b"<p>index");
        let large = fs::read(root.join("large.bin")).unwrap();
        assert!(curl(&[], "/large.bin") == large);
        assert!(curl(&["-r", "1000000-"], "/large.bin") == large[1_000_000..]);
        let code = |arguments: &[&str], path: &str| {
            let said =
                curl(&[&["-o", "/dev/null", "-w", "%{http_code}"], arguments].concat(), path);
            String::from_utf8(said).unwrap()
        };
        assert_eq!(code(&["-I"], "/large.bin"), "200");
        assert_eq!(code(&["-z", "Thu, 01 Jan 2099 00:00:00 GMT"], "/a.txt"), "304");
        assert_eq!(code(&["-z", "Fri, 01 Jan 1999 00:00:00 GMT"], "/a.txt"), "200");
        assert_eq!(code(&["-d", "x=1"], "/a.txt"), "405");
        assert_eq!(code(&["-T", root.join("large.bin").to_str().unwrap()], "/a.txt"), "413");
        assert_eq!(code(&["--http1.0"], "/a.txt"), "200");
    });
}

#[test]
fn a_browser_shows_the_folder_and_follows_a_link() {
    if Browser::program().is_none() {
        let skipped =
            "SKIPPED a_browser_shows_the_folder_and_follows_a_link: no Chromium on the PATH";
        // past the capture of what a test prints
        return writeln!(io::stderr(), "{skipped}").unwrap();
    }
    each(&[], |server, _| {
        let base = format!("http://{}/", server.address);
        let folder = Browser::dom(&base);
        assert!(folder.contains("<title>/</title>") && folder.contains("<h1>/</h1>"), "{folder}");
        let names: Vec<&str> = folder
            .split("<li><a href=\"")
            .skip(1)
            .map(|link| link.split(['>', '<']).nth(1).unwrap())
            .collect();
        let expected =
            ["a.txt", "empty", "in", "indexed/", "large.bin", "out", "sub/", "up", "你 好.html"];
        assert_eq!(names, expected);
        let (before, _) = folder.split_once("\">你 好.html</a>").unwrap();
        let link = before.rsplit('"').next().unwrap().strip_prefix("./").unwrap();
        let file = Browser::dom(&(base + link));
        assert!(file.contains("<body><p>hello"), "{file}"); // `<p>hello` is all that the file has
    });
}

/// Headless Chromium, one run a page.
struct Browser {
    process: Child,
}

impl Browser {
    fn program() -> Option<&'static str> {
        let is_there = |program: &&str| {
            let version = Command::new(program).arg("--version").stderr(Stdio::null()).output();
            version.is_ok_and(|output| output.status.success())
        };
        ["chromium", "chromium-browser", "google-chrome"].into_iter().find(is_there)
    }

    /// The document at `url` as the browser understood it, once it has loaded.
    fn dom(url: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let (dom, complaints) = (folder.path().join("dom"), folder.path().join("complaints"));
        let mut command = Command::new(Browser::program().unwrap());
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"]);
        command.args(["--no-first-run", "--disable-background-networking", "--disable-sync"]);
        command.args(["--disable-component-update", "--disable-dev-shm-usage", "--dump-dom", url]);
        let profile = folder.path().join("profile");
        command.arg(format!("--user-data-dir={}", profile.display()));
        // Files, not pipes: none of its processes can keep them from their end.
        command.stdin(Stdio::null()).stdout(File::create(&dom).unwrap());
        command.stderr(File::create(&complaints).unwrap()).process_group(0);
        let mut browser = Browser { process: command.spawn().unwrap() };
        let status = checks::run::ended(&mut browser.process);
        assert!(status.success(), "{status}: {}", fs::read_to_string(complaints).unwrap());
        let begun = Instant::now();
        while browser.is_running() {
            assert!(begun.elapsed() < DEADLINE, "its processes outlive it");
            thread::sleep(Duration::from_millis(5));
        }
        fs::read_to_string(dom).unwrap()
    }

    /// Whether one of its group's processes is there, the children that it started among them.
    fn is_running(&self) -> bool {
        self.kill("-0")
    }

    fn kill(&self, signal: &str) -> bool {
        let group = format!("-{}", self.process.id());
        let sent = Command::new("kill").args([signal, "--", &group]).stderr(Stdio::null()).status();
        sent.unwrap().success()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.kill("-KILL");
        let _ = self.process.wait();
    }
}

#[test]
fn answers_say_what_they_are() {
    each(&[], |server, _| {
        let answer = server.get("/a.txt", "");
        for line in
            ["Content-Type: text/plain; charset=utf-8", "Content-Length: 10", "Connection: close"]
        {
            assert!(answer.contains(&format!("{line}\r\n")), "{answer}");
        }
        for (range, expected, content) in [
            ("0-0", "206", "0"),
            ("5-99", "206", "56789"),
            ("-99", "206", "0123456789"),
            ("10-", "416", ""),
            ("-0", "416", ""),
            ("0-1,3-4", "200", "0123456789"),
            ("4-2", "200", "0123456789"),
            ("x-2", "200", "0123456789"),
            ("2-x", "200", "0123456789"),
            ("", "200", "0123456789"),
        ] {
            let answer = server.get("/a.txt", &format!("Range: bytes={range}\r\n"));
            let body = answer.split_once("\r\n\r\n").unwrap().1;
            assert_eq!((code(&answer).as_str(), body), (expected, content), "{range}");
        }
        let answer =
            server.get("/a.txt", "Range: bytes=0-1\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
        assert_eq!(code(&answer), "200", "another version of the file is sent whole");
        assert!(server.get("/sub", "").contains("\r\nLocation: /sub/\r\n"));
        assert!(server.get("/sub/", "").contains("<a href=\"./deep/\">deep/</a>"));
        assert!(server.get("/indexed/", "").ends_with("<p>index"));
        assert_eq!(server.code("/a.txt/"), "404");
        assert_eq!(code(&server.get("/empty", "")), "200");
    });
}

/// The value of a header field.
fn field<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split_once("\r\n\r\n").unwrap().0;
    let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    lines.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn content(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

#[test]
fn conditions_are_met_or_answered_as_the_standard_has_it() {
    each(&[], |server, root| {
        fs::write(root.join("b.bin"), vec![b'b'; 100_000]).unwrap();
        thread::sleep(Duration::from_millis(2100)); // their date is given when its second is over
        for (target, length) in [("/a.txt", 10), ("/b.bin", 100_000), ("/indexed/", 8)] {
            let whole = server.get(target, "");
            let tag = field(&whole, "ETag").unwrap();
            let date = field(&whole, "Last-Modified").unwrap();
            assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag} is strong");
            let (old, later) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Fri, 01 Jan 2100 00:00:00 GMT");
            let range = "Range: bytes=0-3";
            for (lines, expected) in [
                (format!("If-Match: {tag}"), 200),
                ("If-Match: *".into(), 200),
                (format!("If-Match: \"other\", {tag}"), 200),
                (format!("If-Match: \"other\"\r\nIf-Match: {tag}"), 200),
                (format!("If-Match: W/{tag}"), 412),
                ("If-Match: \"other\"".into(), 412),
                (format!("If-Match: {tag}\r\nIf-Unmodified-Since: {old}"), 200),
                (format!("If-Unmodified-Since: {date}"), 200),
                (format!("If-Unmodified-Since: {later}"), 200),
                (format!("If-Unmodified-Since: {old}"), 412),
                ("If-Unmodified-Since: yesterday".into(), 200),
                (format!("If-Unmodified-Since: {old}\r\n{range}"), 412),
                (format!("If-Unmodified-Since: {date}\r\n{range}"), 206),
                (format!("If-Match: \"other\"\r\n{range}"), 412),
                (format!("If-None-Match: {tag}"), 304),
                (format!("If-None-Match: W/{tag}"), 304),
                (format!("If-None-Match: \"other\" , {tag}"), 304),
                ("If-None-Match: *".into(), 304),
                ("If-None-Match: \"other\"".into(), 200),
                (format!("If-None-Match: \"other\"\r\nIf-Modified-Since: {date}"), 200),
                (format!("If-None-Match: {tag}\r\nIf-Modified-Since: {old}"), 304),
                (format!("If-None-Match: {tag}\r\nIf-Match: {tag}"), 304),
                (format!("If-Modified-Since: {date}"), 304),
                (format!("If-Modified-Since: {later}"), 304),
                (format!("If-Modified-Since: {old}"), 200),
                (format!("If-Modified-Since: {date}\r\n{range}"), 304),
                (range.into(), 206),
                (format!("{range}\r\nIf-Range: {tag}"), 206),
                (format!("{range}\r\nIf-Range: W/{tag}"), 200),
                (format!("{range}\r\nIf-Range: \"other\""), 200),
                (format!("{range}\r\nIf-Range: {date}"), 206),
                (format!("{range}\r\nIf-Range: {old}"), 200),
                (format!("{range}\r\nIf-Range: {later}"), 200),
                (format!("Range: bytes=999999-\r\nIf-Range: {tag}"), 416),
                (format!("Range: bytes=999999-\r\nIf-Range: {old}"), 200),
            ] {
                let answer = server.get(target, &format!("{lines}\r\n"));
                assert_eq!(code(&answer), expected.to_string(), "{target}: {lines}");
                let expected_length = match expected {
                    200 => length,
                    206 => 4,
                    412 => "412 Precondition Failed\n".len(),
                    _ => 0,
                };
                assert_eq!(content(&answer).len(), expected_length, "{target}: {lines}");
                if [200, 206, 304].contains(&expected) {
                    assert_eq!(field(&answer, "ETag"), Some(tag), "{target}: {lines}");
                    assert_eq!(field(&answer, "Last-Modified"), Some(date), "{target}: {lines}");
                }
                // HEAD is answered alike, but knows no ranges.
                let head = format!("HEAD {target} HTTP/1.0\r\n{lines}\r\n\r\n");
                let head = server.raw(head.as_bytes());
                let like = if [206, 416].contains(&expected) { 200 } else { expected };
                assert_eq!((code(&head), content(&head)), (like.to_string(), ""), "{lines}");
                let from_get = field(&answer, "Content-Length");
                assert!(like != expected || field(&head, "Content-Length") == from_get, "{lines}");
            }
        }
        // What is not there, or a method that is not known, has no conditions; a listing has no tag
        // but is there.
        for (request, expected) in [
            ("GET /none HTTP/1.0\r\nIf-None-Match: *", "404"),
            ("GET /none HTTP/1.0\r\nIf-Match: *", "404"),
            ("GET /sub HTTP/1.0\r\nIf-Match: \"x\"", "301"),
            ("POST /a.txt HTTP/1.0\r\nIf-Match: \"x\"", "405"),
            ("GET /sub/ HTTP/1.0\r\nIf-Match: \"x\"", "412"),
            ("GET /sub/ HTTP/1.0\r\nIf-Match: *", "200"),
            ("GET /sub/ HTTP/1.0\r\nIf-None-Match: *", "304"),
            ("GET /sub/ HTTP/1.0\r\nIf-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT", "200"),
        ] {
            let answer = server.raw(format!("{request}\r\n\r\n").as_bytes());
            assert_eq!(code(&answer), expected, "{request}");
        }
    });
}

#[test]
fn no_two_versions_of_a_file_are_taken_for_one() {
    each(&[], |server, root| {
        let set = |path: &Path, seconds| {
            let time = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
        };
        for (target, size) in [("/v.bin", 10), ("/v.bin", 100_000)] {
            let path = root.join(&target[1..]);
            for (number, has_old_date) in (0..24_u8).zip([false, true].into_iter().cycle()) {
                // Two versions of one size, one right after the other; every other time with the
                // same date, too.
                let version = |number: u8| {
                    fs::write(&path, vec![b'a' + number; size]).unwrap();
                    if has_old_date {
                        set(&path, 1_000_000_000);
                    }
                };
                version(number);
                let first = server.get(target, "");
                let tag = field(&first, "ETag").unwrap();
                let date = field(&first, "Last-Modified").unwrap();
                // Without a change, what is sent is this version, whole or in part, or nothing.
                for lines in [
                    format!("If-None-Match: {tag}"),
                    format!("Range: bytes=5-\r\nIf-Range: {tag}"),
                    format!("Range: bytes=5-\r\nIf-Range: {date}"),
                ] {
                    let answer = server.get(target, &format!("{lines}\r\n"));
                    let codes =
                        if lines.contains("None") { ["200", "304"] } else { ["200", "206"] };
                    assert!(codes.contains(&code(&answer).as_str()), "{lines}");
                    assert!(content(&answer).bytes().all(|byte| byte == b'a' + number));
                    if size == 10 && !lines.ends_with("GMT") {
                        assert_eq!(
                            code(&answer),
                            codes[1],
                            "{lines}: the tag of a small file is strong"
                        );
                    }
                }
                version(number + 1);
                for (lines, expected) in [
                    (format!("If-None-Match: {tag}"), "200"),
                    (format!("If-Match: {tag}"), "412"),
                    (format!("If-Match: {tag}\r\nRange: bytes=5-"), "412"),
                    (format!("Range: bytes=5-\r\nIf-Range: {tag}"), "200"),
                    (format!("Range: bytes=5-\r\nIf-Range: {date}"), "200"),
                ] {
                    let answer = server.get(target, &format!("{lines}\r\n"));
                    assert_eq!(code(&answer), expected, "{number}: {lines}");
                    assert!(expected != "200" || content(&answer).len() == size);
                }
                let lines = format!("Range: bytes=5-\r\nIf-Unmodified-Since: {date}\r\n");
                let answer = server.get(target, &lines);
                assert!(["200", "412"].contains(&code(&answer).as_str()), "{lines}");
                let answer = server.get(target, &format!("If-Modified-Since: {date}\r\n"));
                assert!(has_old_date || code(&answer) == "200", "{date}: a date is not enough");
            }
        }
        // Changed within a second, and asked for when the second is long over.
        let path = root.join("w.txt");
        fs::write(&path, "one").unwrap();
        let date = field(&server.get("/w.txt", ""), "Last-Modified").unwrap().to_owned();
        fs::write(&path, "two").unwrap();
        thread::sleep(Duration::from_millis(2100));
        for lines in [
            format!("If-Modified-Since: {date}\r\n"),
            format!("Range: bytes=1-\r\nIf-Range: {date}\r\n"),
        ] {
            assert!(server.get("/w.txt", &lines).ends_with("\r\n\r\ntwo"), "{lines}");
        }
    });
}

#[test]
fn what_a_path_leads_to_is_found_or_refused() {
    each(&[], |server, root| {
        symlink(root.join("a.txt"), root.join("absolute")).unwrap();
        symlink(root.join("sub"), root.join("absolute-sub")).unwrap();
        symlink(root.join("../secret"), root.join("absolute-out")).unwrap();
        fs::write(root.join("sub/b.txt"), "b").unwrap();
        assert!(server.get("/absolute", "").ends_with("0123456789"));
        assert!(server.get("/absolute-sub/b.txt", "").ends_with("\r\n\r\nb"));
        assert!(server.get("/absolute-sub/", "").contains(">b.txt</a>"));
        assert_eq!(server.code("/absolute-out"), "403");

        let location = |target| field(&server.get(target, ""), "Location").unwrap().to_owned();
        assert_eq!(location("/sub?a=b&c=%20#d"), "/sub/?a=b&c=%20");
        assert_eq!(location("/absolute-sub?"), "/absolute-sub/?");
        assert_eq!(location("//sub?//x"), "/sub/?//x");
        assert_eq!(location("http://x/sub?a=/b"), "/sub/?a=/b");

        // Whoever writes to a FIFO waits for a reader: the server is none.
        let made = Command::new("mkfifo").arg(root.join("fifo")).status().unwrap();
        assert!(made.success());
        let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        let mut script = Command::new("sh");
        script.args(["-c", "exec 3>fifo; echo opened"]).current_dir(root);
        let mut writer = script.stdout(Stdio::piped()).spawn().unwrap();
        thread::sleep(Duration::from_millis(100));
        for target in ["/fifo", "/socket", "/fifo"] {
            assert_eq!(server.code(target), "403", "{target}");
        }
        let waits = writer.try_wait().unwrap().is_none();
        writer.kill().unwrap();
        writer.wait().unwrap();
        assert!(waits, "the FIFO was opened");

        for (range, expected) in [
            ("0-18446744073709551616", "416"),
            ("18446744073709551616-", "416"),
            ("-18446744073709551616", "416"),
            ("-9223372036854775807", "206"),
            ("20-,30-", "416"),
            ("20-,3-4", "206"),
        ] {
            let answer = server.get("/a.txt", &format!("Range: bytes={range}\r\n"));
            assert_eq!(code(&answer), expected, "{range}");
        }
        let answer = server.get("/empty", "Range: bytes=-5\r\n");
        assert_eq!((code(&answer).as_str(), field(&answer, "Content-Length")), ("200", Some("0")));
    });
}

/// A server's own memory and that of the processes it has started, in KiB, without what is shared.
fn memory(process: u32) -> u64 {
    let children = format!("/proc/{process}/task/{process}/children");
    let children = fs::read_to_string(children).unwrap_or_default();
    let children = children.split_whitespace().map(|child| memory(child.parse().unwrap()));
    let own = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap_or_default();
    let private = own.lines().filter(|line| line.starts_with("Private_"));
    private.map(|line| line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()).sum::<u64>()
        + children.sum::<u64>()
}

#[test]
fn a_large_listing_is_whole_and_takes_little_memory() {
    // Made once, for all models.
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let name = |number: u32| format!("{number:05}{}", "&".repeat(150));
    (0..5000).for_each(|number| drop(File::create(root.join(name(number))).unwrap()));
    thread::scope(|s| {
        for model in MODELS {
            s.spawn(move || {
                let server = Server::start(model, root, &[]);
                let expected: Vec<String> = (0..5000).map(name).collect();
                let listed = |page: &str| -> Vec<String> {
                    let links = page.split("</a></li>\n").map(|link| link.rsplit("\">").next());
                    let names: Vec<String> =
                        links.flatten().map(|n| n.replace("&amp;", "&")).collect();
                    names[..names.len() - 1].to_vec()
                };
                let old = server.raw(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
                assert!(listed(content(&old)) == expected && old.ends_with("</html>\n"));
                assert_eq!(field(&old, "Connection"), Some("close"), "it marks the end");
                let head = server.raw(b"HEAD / HTTP/1.0\r\n\r\n");
                assert_eq!((code(&head).as_str(), content(&head)), ("200", ""));
                // In chunks, and the next answer behind it.
                let requests = "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /none HTTP/1.1\r\nHost: x\r\n\
                    Connection: close\r\n\r\n";
                let answers = server.raw(requests.as_bytes());
                assert_eq!(field(&answers, "Transfer-Encoding"), Some("chunked"));
                let (mut page, mut rest) = (String::new(), content(&answers));
                loop {
                    let (size, behind) = rest.split_once("\r\n").unwrap();
                    let size = usize::from_str_radix(size, 16).unwrap();
                    page += &behind[..size];
                    rest = behind[size..].strip_prefix("\r\n").unwrap();
                    if size == 0 {
                        break;
                    }
                }
                assert!(page == content(&old) && code(rest) == "404");

                // Readers that take nothing hold no page each: that would be 7 MB.
                let before = memory(server.process.id());
                let readers: Vec<TcpStream> = (0..20)
                    .map(|_| {
                        let mut reader = server.connect();
                        let request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(3);
                        reader.write_all(request.as_bytes()).unwrap();
                        reader.read_exact(&mut [0]).unwrap();
                        reader
                    })
                    .collect();
                thread::sleep(Duration::from_millis(300));
                let each =
                    memory(server.process.id()).saturating_sub(before) / readers.len() as u64;
                assert!(each < 2048, "{model}: {each} KiB per reader");
            });
        }
    });
}

#[test]
fn nothing_outside_the_root_is_served() {
    each(&[], |server, _| {
        for target in [
            "/../secret",
            "/%2e%2e/secret",
            "/sub/..%2f../secret",
            "/out",
            "/up/secret",
            "/up/",
            "//../secret",
        ] {
            let answer = server.get(target, "");
            assert_eq!(code(&answer), "403", "{target}");
            assert!(!answer.contains("\r\nsecret"), "{target}: {answer}");
        }
        assert_eq!(server.code("/sub/../a.txt"), "200");
        assert_eq!(server.code("/sub/deep/../../../secret"), "403");
    });
}

#[test]
fn what_is_malformed_is_refused_and_the_server_goes_on() {
    each(&[], |server, _| {
        let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(20_000));
        for (request, expected) in [
            ("nonsense\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\n\r\n", "400"),
            ("GET /%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "400"),
            ("GET /%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "400"),
            ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "400"),
            ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "405"),
            ("GET / HTTP/3.0\r\nHost: x\r\n\r\n", "505"),
            (&long, "431"),
        ] {
            let answer = server.raw(request.as_bytes());
            assert_eq!(code(&answer), expected, "{request:.60}");
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        }
        assert_eq!(server.code("/a.txt"), "200");
    });
}

#[test]
fn a_connection_carries_many_requests_in_order() {
    each(&[], |server, _| {
        let one = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
        let body = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nGET /";
        let mut all = [one("/a.txt"), one("/none"), body.into(), one("/large.bin")].concat();
        all += &(one("/in").repeat(500)
            + "HEAD /a.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let mut socket = server.connect();
        let mut writer = socket.try_clone().unwrap();
        let sender = thread::spawn(move || {
            // In pieces, so that requests are cut in the middle.
            all.as_bytes().chunks(777).for_each(|piece| writer.write_all(piece).unwrap());
        });
        let mut answers = Vec::new();
        socket.read_to_end(&mut answers).unwrap();
        sender.join().unwrap();
        let text = String::from_utf8_lossy(&answers);
        let codes: Vec<String> = text.split("HTTP/1.1 ").skip(1).map(|a| a[..3].into()).collect();
        let mut expected = vec!["200"; 505];
        (expected[1], expected[2]) = ("404", "405");
        assert_eq!(codes.len(), expected.len());
        assert_eq!(codes, expected);
    });
}

#[test]
fn slow_and_silent_clients_are_dropped() {
    let limits = ["--idle", "1", "--head", "1", "--body", "1", "--write", "1"];
    each(&limits, |server, _| {
        assert_eq!(server.raw(b""), "", "a silent one is closed without a word");
        assert_eq!(code(&server.raw(b"GET / HTTP/1.1\r\nHo")), "408");
        let body = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab";
        assert_eq!(code(&server.raw(body)), "408");
        let mut deaf = server.connect();
        let many = "GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n".repeat(20);
        deaf.write_all(many.as_bytes()).unwrap();
        thread::sleep(Duration::from_secs(4)); // it takes nothing; what it gets later is not all
        let mut got = Vec::new();
        let _ = deaf.read_to_end(&mut got); // the end, or a reset
        assert!(got.len() < 20 * 5_000_000, "{}", got.len());
        // One that sends a request and then no more is answered all the same.
        let mut half = server.connect();
        half.write_all(b"GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        half.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        half.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("0123456789"), "{answer}");
    });
}

#[test]
fn a_changed_file_is_never_stale() {
    each(&[], |server, root| {
        // Longer than a file has to be left alone before it is kept; and asked for again and again,
        // by every worker.
        thread::sleep(Duration::from_millis(2500));
        (0..100).for_each(|_| assert!(server.get("/a.txt", "").ends_with("0123456789")));
        (0..100).for_each(|_| assert!(server.get("/indexed/", "").ends_with("index")));
        let path = root.join("a.txt");
        let old = std::time::SystemTime::now() - Duration::from_secs(60);
        for number in 0..20 {
            let text = format!("{number:010}"); // as long as the one before it
            if number % 2 == 0 {
                fs::write(&path, &text).unwrap();
            } else {
                fs::write(root.join("new"), &text).unwrap();
                fs::rename(root.join("new"), &path).unwrap();
            }
            fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
            for by_any_name in ["/a.txt", "/in"] {
                assert!(server.get(by_any_name, "").ends_with(&text), "{number}: {by_any_name}");
            }
        }
        // The very same file, but the way to it leads outside now.
        fs::rename(root.join("indexed"), root.join("../moved")).unwrap();
        symlink("../moved", root.join("indexed")).unwrap();
        (0..100).for_each(|_| assert_eq!(code(&server.get("/indexed/index.html", "")), "403"));
    });
}

#[test]
fn there_are_no_more_connections_than_allowed() {
    each(&["--workers", "2", "--connections", "2"], |server, _| {
        let ask = |mut socket: &TcpStream| {
            socket.write_all(b"GET /a.txt HTTP/1.1\r\nHost: x\r\nX: ").unwrap();
        };
        let held = [server.connect(), server.connect()];
        held.iter().for_each(ask); // in the middle of a request: nobody may close them
        thread::sleep(Duration::from_millis(200));
        let mut third = server.connect();
        third.write_all(b"GET /a.txt HTTP/1.0\r\n\r\n").unwrap();
        third.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        assert!(third.read(&mut [0; 100]).is_err(), "it waits");
        drop(held);
        third.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut answer = String::new();
        third.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("0123456789"), "{answer}");
    });
}

#[test]
fn it_ends_when_running_answers_are_finished() {
    each(&["--log"], |mut server, _| {
        let mut idle = server.connect();
        idle.write_all(b"GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = [0; 4096];
        assert!(idle.read(&mut answer).unwrap() > 0);
        let mut running = server.connect();
        running.write_all(b"GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        // begun, and too long for the sockets' buffers
        assert_eq!(running.read(&mut answer[..1]).unwrap(), 1);
        server.signal("-TERM");
        assert_eq!(idle.read_to_end(&mut Vec::new()).unwrap(), 0, "an idle one is closed");
        let mut rest = Vec::new();
        running.read_to_end(&mut rest).unwrap();
        assert!(rest.len() > 5_000_000, "{}", rest.len());
        assert!(checks::run::ended(&mut server.process).success());
        let mut log = String::new();
        server.output.read_to_string(&mut log).unwrap();
        assert!(log.contains("\"GET /a.txt HTTP/1.1\" 200 10\n"), "{log}");
        assert!(log.ends_with("all connections were finished\n"), "{log}");
    });
}

#[test]
fn the_longest_idle_connection_makes_room() {
    // As many as there may be, with a worker for each where one is needed.
    let limits = ["--workers", "4", "--connections", "4", "--idle", "1000", "--head", "1000"];
    each(&limits, |server, _| {
        let whole = b"GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n";
        let answered = |mut socket: &TcpStream| {
            let mut answer = Vec::new();
            while !answer.ends_with(b"0123456789") {
                let mut piece = [0; 1000];
                match socket.read(&mut piece) {
                    Ok(count @ 1..) => answer.extend(&piece[..count]),
                    _ => return false,
                }
            }
            true
        };
        let mut connections: Vec<TcpStream> = (0..4)
            .map(|_| {
                let mut socket = server.connect();
                socket.write_all(whole).unwrap();
                assert!(answered(&socket));
                // An answer is here before the server has begun to wait for the next request.
                thread::sleep(Duration::from_millis(500));
                socket
            })
            .collect();
        // The first is the longest open one, but in the middle of a request, which is as fast as it
        // has to be.
        let begun = format!("GET /a.txt HTTP/1.1\r\nHost: x\r\nX: {}", "x".repeat(4000));
        connections[0].write_all(begun.as_bytes()).unwrap();
        let mut newcomer = server.connect();
        newcomer.write_all(whole).unwrap();
        assert!(answered(&newcomer));
        assert_eq!(connections[1].read(&mut [0]).unwrap(), 0, "the longest idle one is closed");
        for (number, socket) in [(2, &connections[2]), (3, &connections[3])] {
            let mut socket = socket;
            socket.write_all(whole).unwrap();
            assert!(answered(socket), "{number} is still open");
        }
        connections[0].write_all(b"\r\n\r\n").unwrap();
        assert!(answered(&connections[0]), "a request in progress is finished");
    });
}

#[test]
fn silent_and_slow_clients_lock_nobody_out() {
    let limits = ["--workers", "16", "--connections", "16", "--idle", "1000", "--head", "1000"];
    each(&limits, |server, _| {
        // Such that say nothing, that say a little, and that have been answered: many more than
        // there may be.
        for begin in
            ["", "GET / HTTP/1.1\r\nHost: x\r\nX: ", "GET /empty HTTP/1.1\r\nHost: x\r\n\r\n"]
        {
            let _silent: Vec<TcpStream> = (0..20)
                .map(|_| {
                    let mut socket = server.connect();
                    socket.write_all(begin.as_bytes()).unwrap();
                    socket
                })
                .collect();
            (0..3).for_each(|_| assert!(server.get("/a.txt", "").ends_with("0123456789")));
        }
    });
}

#[test]
fn a_client_has_to_take_its_answer_at_a_minimum_rate() {
    let limits = ["--write", "1", "--rate", "5000000"];
    each(&limits, |server, _| {
        let all = 40 * 5_000_000;
        let mut slow = server.connect();
        let requests = "GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n".repeat(40);
        slow.write_all(requests.as_bytes()).unwrap();
        // It never stops to read, but takes no more than 1.3 MB a second.
        let (mut got, mut piece) = (0, vec![0; 1 << 17]);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(6) {
            match slow.read(&mut piece) {
                Ok(count @ 1..) => got += count,
                _ => break,
            }
            thread::sleep(Duration::from_millis(100));
        }
        let mut rest = Vec::new();
        let _ = slow.read_to_end(&mut rest); // what was on the way, and the end or a reset
        assert!(got + rest.len() < all, "{} bytes", got + rest.len());
        assert!(server.get("/large.bin", "").len() > 5_000_000);
    });
}

/// The lines of a log: how many requests it has, and how many it says are missing. Every line is
/// whole.
fn logged(log: &str) -> (usize, usize) {
    let (mut lines, mut missing) = (0, 0);
    for line in log.lines().filter(|line| *line != "all connections were finished") {
        assert!(line.len() < 4096, "{line}");
        if let Some(count) = line.strip_prefix("# ") {
            missing += count.split(' ').next().unwrap().parse::<usize>().unwrap();
            continue;
        }
        assert!(
            line.starts_with("127.0.0.1 - - [") && line.matches(" - - [").count() == 1,
            "{line}"
        );
        let (_, end) = line.rsplit_once("\" ").unwrap();
        assert!(["200 10", "404 14"].contains(&end), "{line}");
        assert!(line.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{line}");
        lines += 1;
    }
    (lines, missing)
}

#[test]
fn a_log_is_whole_lines_and_never_waited_for() {
    each(&["--log", "--workers", "4"], |mut server, _| {
        let ask = |count: usize| {
            thread::scope(|s| {
                for client in 0..4 {
                    let server = &server;
                    s.spawn(move || {
                        // Two thirds of a line too long, and with what would be a line of its own.
                        let forged = "%0A%1b[2J\"\t127.0.0.1\u{202e}\u{2028}";
                        let long = format!("/none{}{forged}{}", "'".repeat(3500), client);
                        for number in 0..count {
                            let target = if number % 3 == 0 { "/a.txt" } else { &long };
                            let answer = server.code(&target.replace('\t', "%09"));
                            assert_eq!(answer, if number % 3 == 0 { "200" } else { "404" });
                        }
                    });
                }
            });
        };
        // Far more than a pipe takes and a server keeps, and nobody reads it.
        ask(450);
        let all = 4 * 450;
        let stdout = server.output.get_ref().as_fd().try_clone_to_owned().unwrap();
        let reader = thread::spawn(move || {
            let mut log = String::new();
            File::from(stdout).read_to_string(&mut log).unwrap();
            log
        });
        ask(3); // logged again, behind a line that says how many are missing
        server.signal("-TERM");
        assert!(checks::run::ended(&mut server.process).success());
        let log = reader.join().unwrap();
        let (lines, missing) = logged(&log);
        assert_eq!(lines + missing, all + 12);
        assert!(missing > 0 && lines > 100, "{lines} lines, {missing} are missing");
        assert!(log.ends_with("all connections were finished\n"));
    });
}

#[test]
fn it_ends_as_told_whatever_becomes_of_its_output() {
    // A pipe that nobody reads, and one whose reader is gone.
    for is_closed in [false, true] {
        thread::scope(|s| {
            for model in MODELS {
                s.spawn(move || {
                    let folder = site();
                    let root = folder.path().join("root");
                    let (stderr_reader, stderr) = io::pipe().unwrap();
                    let fill = format!(
                        "head -c 1000000 /dev/zero >/proc/{}/fd/{}",
                        std::process::id(),
                        stderr.as_raw_fd()
                    );
                    let mut command = Command::new(checks::program("5_2_web_server"));
                    command.args([
                        "--model",
                        model,
                        "--workers",
                        "2",
                        "--port",
                        "0",
                        "--log",
                        "--root",
                    ]);
                    let mut filler = Command::new("sh").args(["-c", &fill]).spawn().unwrap();
                    command.arg(&root).stdout(Stdio::piped()).stderr(stderr);
                    let mut process = command.spawn().unwrap();
                    drop(command);
                    let mut output = BufReader::new(process.stdout.take().unwrap());
                    let mut line = String::new();
                    output.read_line(&mut line).unwrap();
                    let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap();
                    let mut server = Server { process, output, address: address.to_owned() };
                    let mut readers = Some((
                        stderr_reader,
                        server.output.get_ref().as_fd().try_clone_to_owned().unwrap(),
                    ));
                    if is_closed {
                        filler.kill().unwrap();
                        readers = None;
                        let (empty, _) = io::pipe().unwrap();
                        server.output = BufReader::new(OwnedFd::from(empty).into());
                    }
                    // Longer lines than the pipe has room for.
                    let target = format!("/{}", "x".repeat(3500));
                    for _ in 0..40 {
                        assert_eq!(server.code(&target), "404");
                    }
                    if model == "process" {
                        // Workers that die are replaced, and each of them would be told.
                        for _ in 0..3 {
                            let id = server.process.id();
                            let children =
                                fs::read_to_string(format!("/proc/{id}/task/{id}/children"))
                                    .unwrap();
                            for child in children.split_whitespace() {
                                let _ = Command::new("kill").args(["-KILL", child]).status();
                            }
                            assert_eq!(server.code(&target), "404");
                        }
                    }
                    let mut running = server.connect();
                    running.write_all(b"GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
                    running.read_exact(&mut [0]).unwrap();
                    server.signal("-TERM");
                    let mut rest = Vec::new();
                    running.read_to_end(&mut rest).unwrap();
                    assert!(rest.len() > 5_000_000, "{model}: {}", rest.len());
                    let status = checks::run::ended(&mut server.process);
                    assert_eq!(status.code(), Some(0), "{model}");
                    drop(readers);
                    let _ = filler.kill();
                    filler.wait().unwrap();
                });
            }
        });
    }
}

/// The process and its children.
fn family(process: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap();
    let children = children.split_whitespace().map(|child| child.parse().unwrap());
    [process].into_iter().chain(children).collect()
}

#[test]
fn without_descriptors_it_waits_for_some_and_serves_on() {
    each(&["--workers", "2", "--connections", "50", "--idle", "1000"], |server, _| {
        let idle = server.connect();
        assert_eq!(server.code("/a.txt"), "200");
        let family = family(server.process.id());
        let limit = |files: usize, process: u32| {
            let limit = format!("--nofile={files}:1024");
            let process = format!("--pid={process}");
            assert!(Command::new("prlimit").args([limit, process]).status().unwrap().success());
        };
        let open = |process: u32| fs::read_dir(format!("/proc/{process}/fd")).unwrap().count();
        // Not one more than there are; then not even the one of an idle connection.
        family.iter().for_each(|process| limit(open(*process), *process));
        thread::sleep(Duration::from_millis(300));
        let answer = server.get("/a.txt", "");
        assert!(["200", "503"].contains(&code(&answer).as_str()), "{answer}");
        drop(idle);
        family.iter().for_each(|process| limit(3, *process));
        let cpu = || -> u64 {
            let times = family.iter().map(|process| {
                let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
                let fields: Vec<&str> =
                    stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
                fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
            });
            times.sum()
        };
        let before = cpu();
        let mut waiting = server.connect();
        waiting.write_all(b"GET /empty HTTP/1.0\r\n\r\n").unwrap();
        thread::sleep(Duration::from_secs(2));
        assert!(cpu() - before < 50, "it tries again and again: {} of 200 ticks", cpu() - before);
        family.iter().for_each(|process| limit(1024, *process));
        let mut answer = String::new();
        waiting.read_to_string(&mut answer).unwrap();
        assert_eq!(code(&answer), "200");
    });
}

#[test]
fn with_few_threads_or_processes_it_serves_or_says_why_not() {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        let skipped = "SKIPPED with_few_threads_or_processes_it_serves_or_says_why_not: needs root";
        return writeln!(io::stderr(), "{skipped}").unwrap();
    }
    // Where another user can run it.
    let folder =
        tempfile::Builder::new().permissions(PermissionsExt::from_mode(0o755)).tempdir().unwrap();
    let program = folder.path().join("server");
    fs::copy(checks::program("5_2_web_server"), &program).unwrap();
    fs::write(folder.path().join("a.txt"), "0123456789").unwrap();
    let (folder, program) = (folder.path(), &program);
    thread::scope(|s| {
        for (number, model) in MODELS.iter().enumerate() {
            s.spawn(move || {
                for limit in [1, 2, 3, 4, 6] {
                    // A user who has no other process: it is that user's limit.
                    let user = 1_000_000 + std::process::id() * 64 + number as u32 * 8 + limit;
                    let mut command = Command::new("setpriv");
                    command.args([format!("--reuid={user}"), format!("--regid={user}")]);
                    command.args([
                        "--clear-groups",
                        "prlimit",
                        &format!("--nproc={limit}:{limit}"),
                    ]);
                    command.arg(program).args(["--model", model, "--workers", "4", "--port", "0"]);
                    command.arg("--root").arg(folder);
                    command.stdout(Stdio::piped()).stderr(Stdio::piped());
                    let mut process = command.spawn().unwrap();
                    let mut output = BufReader::new(process.stdout.take().unwrap());
                    let mut error = process.stderr.take().unwrap();
                    let mut line = String::new();
                    output.read_line(&mut line).unwrap();
                    let address = line.split("http://").nth(1).and_then(|a| a.split('/').next());
                    let address = address.unwrap_or_default().to_owned();
                    let mut server = Server { process, output, address };
                    if line.is_empty() {
                        assert_eq!(checks::run::ended(&mut server.process).code(), Some(1));
                    } else {
                        (0..5).for_each(|_| assert_eq!(server.code("/a.txt"), "200", "{model}"));
                        server.signal("-TERM");
                        let status = checks::run::ended(&mut server.process);
                        assert_eq!(status.code(), Some(0), "{model}, {limit}");
                    }
                    let mut said = String::new();
                    error.read_to_string(&mut said).unwrap();
                    let begin = if line.is_empty() { "error: " } else { "warning: " };
                    let all = said.lines().all(|line| line.starts_with(begin));
                    assert!(all && said.lines().count() <= 4, "{model}, {limit}: {said}");
                    assert!(!line.is_empty() || said.contains("temporarily unavailable"), "{said}");
                }
            });
        }
    });
}

#[test]
fn wrong_arguments_are_named() {
    let mut wrong = vec![
        ("--model=prefork".to_owned(), "a model is process"),
        ("--color".into(), "unknown argument \"--color\""),
        ("--bind=localhost".into(), "--bind \"localhost\""),
        ("--root=".into(), "--root"),
        ("--log=yes".into(), "unknown argument"),
    ];
    let no_numbers =
        ["", " 1", "1 ", "-1", "+1", "nan", "inf", "1e3", "0x10", "one", "18446744073709551616"];
    for (flag, outside) in [
        ("--workers", ["0", "1025", "18446744073709551615"]),
        ("--connections", ["0", "1000001", "18446744073709551615"]),
        ("--rate", ["0", "1000000001", "1.5"]),
        ("--port", ["65536", "99999", "1.5"]),
        ("--for", ["1000001", "4294967296", "1.5"]),
        ("--idle", ["0", "1000001", "0.0001"]),
        ("--head", ["0", "1000001", "0.0001"]),
        ("--body", ["0", "1000001", "0.0001"]),
        ("--write", ["0", "1000001", "0.0001"]),
        ("--grace", ["0", "1000001", "0.0001"]),
    ] {
        for value in no_numbers.iter().chain(&outside) {
            wrong.push((format!("{flag}={value}"), flag));
        }
    }
    for (argument, named) in wrong {
        let mut command = Command::new(checks::program("5_2_web_server"));
        let output = command.arg(&argument).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{argument}: {said}");
        assert!(said.contains(named) && said.contains("Usage:"), "{argument}: {said}");
    }
}

#[test]
fn what_prevents_it_from_serving_is_an_error_and_nothing_else_is_said() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for model in MODELS {
        for (arguments, named) in [
            (["--root", "/no/such/folder"], "/no/such/folder"),
            (["--root", "/etc/passwd"], "/etc/passwd"),
            (["--root", "/no/\u{202e}\n/folder"], r"/no/\u{202e}\n/folder"),
            (["--port", &port], &port),
            (["--bind", "192.0.2.1"], "192.0.2.1"),
        ] {
            let mut command = Command::new(checks::program("5_2_web_server"));
            if arguments[0] != "--port" {
                command.args(["--port", "0"]);
            }
            let output = command.args(["--model", model]).args(arguments).output().unwrap();
            let error = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{model}: {arguments:?}: {error}");
            assert!(error.starts_with("error: ") && error.contains(named), "{model}: {error}");
            assert!(output.stdout.is_empty(), "{model}: it does not serve");
        }
    }
}

#[test]
fn a_root_need_not_be_utf_8() {
    for model in MODELS {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
        fs::create_dir(&root).unwrap();
        fs::write(root.join(std::ffi::OsStr::from_bytes(b"\xff.txt")), "found").unwrap();
        let server = Server::start(model, &root, &[]);
        assert!(server.get("/%FF.txt", "").ends_with("\r\n\r\nfound"));
        assert!(server.get("/", "").contains("href=\"./%FF.txt\""));
    }
}
