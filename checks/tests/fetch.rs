//! 015_fetch_pages and 016_fetch_pool against servers that do what servers do: hang, lie, redirect,
//! talk nonsense. Each page has its own fate beside its URL, and the others go on.

use fetch::{Answer, Server};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

const BOTH: [&str; 2] = ["015_fetch_pages", "016_fetch_pool"];

/// The two ways in which 016_fetch_pool limits the requests: a stream, and a set of tasks.
const POOLS: [&[&str]; 2] = [&[], &["--by-hand"]];

/// A case with these arguments, and no proxy of whoever runs the tests.
fn command<A: AsRef<str>>(case: &str, arguments: &[A]) -> Command {
    let mut command = Command::new(checks::program(case));
    command.args(arguments.iter().map(AsRef::as_ref));
    for proxy in
        ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
    {
        command.env_remove(proxy);
    }
    command
}

/// What it printed, and its exit status.
fn run<A: AsRef<str>>(case: &str, arguments: &[A]) -> (String, Option<i32>) {
    let outcome = checks::run::run(&mut command(case, arguments)).unwrap();
    (outcome.stdout, outcome.status.code())
}

/// What is said of `url`, without how long it took.
fn fate(output: &str, url: &str) -> String {
    let line = output.lines().find_map(|line| line.strip_prefix(&format!("{url}: ")));
    let line = line.unwrap_or_else(|| panic!("nothing of {url} in\n{output}"));
    match line.rsplit_once(", ") {
        Some((fate, time)) if time.ends_with(" ms") => fate.into(),
        _ => line.into(),
    }
}

/// A server that hands each connection to `behave` when a request has come.
fn server(behave: impl Fn(&TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let behave = Arc::new(behave);
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let behave = Arc::clone(&behave);
            thread::spawn(move || {
                read_request(&connection);
                behave(&connection)
            });
        }
    });
    url
}

fn read_request(connection: impl Read) {
    let lines = BufReader::new(connection).lines().map_while(Result::ok);
    lines.take_while(|line| !line.is_empty()).for_each(drop);
}

/// Waits for the client to give up, as a server would that has forgotten it.
fn hang(mut connection: &TcpStream) -> std::io::Result<()> {
    connection.read(&mut [0]).map(drop)
}

/// A server whose one page is right.
fn good() -> Server {
    Server::start(|_| Answer::page("good")).unwrap()
}

/// Every one of these pages fails as said, in both cases, and a good one beside them is fetched.
fn all_fail(options: &[&str], failing: &[(String, &str)]) {
    let good = good();
    let mut arguments: Vec<String> = options.iter().map(ToString::to_string).collect();
    arguments.extend(failing.iter().map(|(url, _)| url.clone()));
    arguments.push(good.url("/"));
    let check = |case| {
        let (output, status) = run(case, &arguments);
        assert_eq!(status, Some(1), "{output}");
        for (url, why) in failing {
            assert_eq!(fate(&output, url), format!("failed: {why}"), "{output}");
        }
        assert_eq!(fate(&output, &good.url("/")), "4 bytes");
        let (all, failed) = (failing.len() + 1, failing.len());
        assert!(output.contains(&format!("\n1 of {all} pages, {failed} failed, in ")), "{output}");
    };
    thread::scope(|s| BOTH.into_iter().for_each(|case| _ = s.spawn(move || check(case))));
}

#[test]
fn results_stand_in_the_order_asked() {
    // The first ones take longest.
    let server = Server::start(|path| {
        let place: u64 = path[1..].parse().unwrap();
        Answer::page("x".repeat(100 + place as usize)).after(Duration::from_millis(60 - 6 * place))
    });
    let server = server.unwrap();
    let urls: Vec<_> = (0..10).map(|n| server.url(&format!("/{n}"))).collect();
    let expected: Vec<_> =
        urls.iter().zip(100..).map(|(url, n)| format!("{url}: {n} bytes")).collect();
    for way in POOLS {
        let (output, status) = run(
            "016_fetch_pool",
            &[way, &urls.iter().map(String::as_str).collect::<Vec<_>>()].concat(),
        );
        assert_eq!(status, Some(0));
        assert_eq!(output.lines().take(10).collect::<Vec<_>>(), expected, "{way:?}");
    }
}

/// A server that gives nobody an answer before so many have asked; and the most requests it has had
/// at once.
fn gate(at_once: usize) -> (String, Arc<AtomicUsize>) {
    let (barrier, now) = (Barrier::new(at_once), AtomicUsize::new(0));
    let peak = Arc::new(AtomicUsize::new(0));
    let most = Arc::clone(&peak);
    let url = server(move |mut c| {
        most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
        barrier.wait();
        // were there one too many, it would have the time to come
        thread::sleep(Duration::from_millis(5));
        now.fetch_sub(1, SeqCst);
        c.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 7\r\n\r\nthrough")
    });
    (url, peak)
}

#[test]
fn never_more_than_n_at_once_and_no_fewer() {
    for (at_once, way) in [1, 5].into_iter().flat_map(|n| POOLS.map(|way| (n, way))) {
        let (url, peak) = gate(at_once);
        let mut arguments = vec!["--at-once".into(), at_once.to_string()];
        arguments.extend(way.iter().map(|flag| flag.to_string()));
        arguments.extend((0..at_once * 6).map(|n| format!("{url}{n}")));
        let (output, status) = run("016_fetch_pool", &arguments);
        assert_eq!(status, Some(0), "{output}");
        assert_eq!(peak.load(SeqCst), at_once);
    }
}

#[test]
fn the_pages_of_015_are_all_on_their_way_at_once() {
    let (url, peak) = gate(20);
    let urls: Vec<_> = (0..20).map(|n| format!("{url}{n}")).collect();
    let (output, status) = run("015_fetch_pages", &urls);
    assert_eq!((status, peak.load(SeqCst)), (Some(0), 20), "{output}");
}

#[test]
fn the_local_server_counts_and_takes_requests_as_they_come() {
    let server = Server::start(|path| {
        let length = path[1..].parse().unwrap();
        Answer::page("x".repeat(length)).after(Duration::from_millis(20))
    });
    let server = server.unwrap();
    let address = server.url("").replace("http://", "");
    // Two requests in one piece, the second one in pieces; a page that fills all buffers on the way
    // before anybody reads.
    let mut one = TcpStream::connect(&address).unwrap();
    one.write_all(b"GET /3 HTTP/1.1\r\n\r\nGET /9000000 HTTP/1.1\r\nhost: h").unwrap();
    until(|| server.requests() == 1);
    let mut other = TcpStream::connect(&address).unwrap();
    other.write_all(b"GET /1 HTTP/1.1\r\n\r\n").unwrap();
    one.write_all(b"\r\n\r\n").unwrap();
    until(|| server.requests() == 3);
    other.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    one.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let head = |length: usize| format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
    let mut said = vec![0; head(1).len() + 1];
    other.read_exact(&mut said).unwrap();
    assert_eq!(said, (head(1) + "x").into_bytes());
    let expected = head(3) + "xxx" + &head(9_000_000) + &"x".repeat(9_000_000);
    let mut said = vec![0; expected.len()];
    one.read_exact(&mut said).unwrap();
    assert!(said == expected.into_bytes());
    assert!(server.peak() <= 2);
    // Who goes away in the middle of a request, or of waiting, takes nothing along.
    TcpStream::connect(&address).unwrap().write_all(b"GET /").unwrap();
    TcpStream::connect(&address).unwrap().write_all(b"GET /1 HTTP/1.1\r\n\r\n").unwrap();
    one.write_all(b"GET /1 HTTP/1.1\r\n\r\n").unwrap();
    one.read_exact(&mut [0; 39]).unwrap();
}

#[test]
fn a_page_that_takes_too_long_is_given_up() {
    let silent = server(hang);
    let half = server(|mut c| {
        c.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf a page")?;
        hang(c)
    });
    // A byte now and then: each comes in time, the page does not.
    let drip = server(|mut c| {
        c.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")?;
        loop {
            c.write_all(b"x")?;
            thread::sleep(Duration::from_millis(10));
        }
    });
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap(); // accepts nobody
    let deaf = (format!("http://{}/", deaf.local_addr().unwrap()), deaf);
    let late = "timed out after 5s";
    all_fail(&["--timeout", "5"], &[(silent, late), (half, late), (drip, late), (deaf.0, late)]);
}

#[test]
fn redirects_are_followed_and_not_for_ever() {
    let answer = |to: &str| Answer {
        status: "302 Found",
        headers: format!("location: {to}\r\n"),
        ..Answer::page("over there")
    };
    let elsewhere = good();
    let there = elsewhere.url("/there");
    let server = Server::start(move |path| match path {
        "/moved" => answer("/three"),
        "/three" => answer("two?a=b#c"), // relative to this one
        "/two?a=b" => Answer { status: "308 Permanent Redirect", ..answer(&there) },
        "/loop" => answer("/loop"),
        "/ping" => answer("pong"),
        "/pong" => answer("ping"),
        "/empty" => answer(""),
        "/nowhere" => Answer { headers: String::new(), ..answer("") },
        "/port" => answer("http://localhost:99999/"),
        "/latin" => answer("/\u{202e}"),
        "/choice" => Answer { status: "300 Multiple Choices", ..answer("/two?a=b") },
        "/same" => Answer { status: "304 Not Modified", ..answer("/two?a=b") },
        path => match path.strip_prefix("/to/") {
            Some(scheme) => answer(&format!("{scheme}:///etc/passwd")),
            None => match path.strip_prefix("/js") {
                Some(_) => answer("javascript:alert(1)"),
                None => match path.strip_prefix("/hop/").and_then(|n| n.parse::<u32>().ok()) {
                    Some(0) => Answer::page("good"),
                    Some(n) => answer(&format!("/hop/{}", n - 1)),
                    None => Answer::missing(),
                },
            },
        },
    });
    let server = server.unwrap();
    for case in BOTH {
        for path in ["/moved", "/hop/10"] {
            let (output, status) = run(case, &[server.url(path)]);
            assert_eq!((status, fate(&output, &server.url(path)).as_str()), (Some(0), "4 bytes"));
        }
    }
    let before = server.requests();
    let many = "redirected: too many redirects";
    let circles = ["/loop", "/ping", "/empty"].map(|path| (server.url(path), many));
    all_fail(&[], &circles);
    assert_eq!(server.requests() - before, 2 * 3 * 11);
    let other =
        |target: &str| format!("redirected: to {target:?}, which is neither http nor https");
    let [file, ftp, js, data] =
        ["file:///etc/passwd", "ftp://etc/passwd", "javascript:alert(1)", "data:///etc/passwd"]
            .map(other);
    all_fail(
        &[],
        &[
            (server.url("/hop/11"), many),
            (server.url("/to/file"), &file),
            (server.url("/to/ftp"), &ftp),
            (server.url("/to/data"), &data),
            (server.url("/js"), &js),
            (server.url("/nowhere"), "redirected: 302 Found without a location"),
            (
                server.url("/port"),
                "redirected: to \"http://localhost:99999/\": invalid port number",
            ),
            (server.url("/latin"), "404 Not Found"), // percent-encoded, like each path
            (server.url("/choice"), "300 Multiple Choices"),
            (server.url("/same"), "304 Not Modified"),
        ],
    );
    // What is not text in a header.
    let bytes = self::server(|mut c| {
        c.write_all(b"HTTP/1.1 302 Found\r\nlocation: /\xff\x9b\r\ncontent-length: 0\r\n\r\n")
    });
    all_fail(&[], &[(bytes, r#"redirected: to "/\xff\x9b", which is not UTF-8"#)]);
}

/// A server that keeps its connections, and does what `behave` says with each request: it is told
/// the number of the connection, and of the request on it, both from 1. It closes the connection
/// when that is `false`. The number of all requests.
fn keeping(
    behave: impl Fn(&TcpStream, usize, usize) -> std::io::Result<bool> + Send + Sync + 'static,
) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (behave, all) = (Arc::new(behave), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&all);
    thread::spawn(move || {
        for (number, connection) in listener.incoming().flatten().enumerate() {
            let (behave, count) = (Arc::clone(&behave), Arc::clone(&count));
            thread::spawn(move || {
                let mut reader = BufReader::new(connection.try_clone()?);
                for request in 1.. {
                    let mut line = String::new();
                    while line != "\r\n" {
                        line.clear();
                        if reader.read_line(&mut line)? == 0 {
                            return Ok(());
                        }
                    }
                    count.fetch_add(1, SeqCst);
                    if !behave(&connection, number + 1, request)? {
                        break;
                    }
                }
                std::io::Result::Ok(())
            });
        }
    });
    (url, all)
}

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood";

/// Twenty pages of a server, one after the other or four at a time, are all fetched.
fn all_arrive(url: &str) {
    for at_once in ["1", "4"] {
        let mut arguments = vec!["--at-once".to_owned(), at_once.into()];
        arguments.extend((0..20).map(|n| format!("{url}{n}")));
        let (output, status) = run("016_fetch_pool", &arguments);
        assert_eq!(status, Some(0), "{output}");
        assert!(output.contains("\n20 of 20 pages, 0 failed"), "{output}");
    }
}

#[test]
fn a_kept_connection_that_was_closed_is_no_failure() {
    // Each connection is closed when its second request comes: as if the two had crossed on their
    // way.
    let (url, requests) = keeping(|mut c, _, request| {
        if request == 1 {
            c.write_all(ANSWER)?;
        }
        Ok(request == 1)
    });
    all_arrive(&url);
    assert!((40..=80).contains(&requests.load(SeqCst)), "{requests:?}");
    // The same by a reset, which is another error.
    let (url, _) = keeping(|mut c, _, request| {
        if request == 1 {
            c.write_all(ANSWER)?;
        } else {
            rustix::net::sockopt::set_socket_linger(c, Some(Duration::ZERO))?;
        }
        Ok(request == 1)
    });
    all_arrive(&url);
    // Right after each answer, so that some requests are on their way already; and at random.
    let (url, _) = keeping(|mut c, _, _| c.write_all(ANSWER).map(|()| false));
    all_arrive(&url);
    let (url, _) = keeping(|mut c, connection, request| {
        let goes_on = (connection * 7 + request * 5) % 3 > 0;
        if request == 1 || goes_on {
            c.write_all(ANSWER)?;
        }
        Ok(goes_on)
    });
    all_arrive(&url);
    // On the way of redirects, too.
    let (url, _) = keeping(|mut c, _, request| {
        if request == 1 {
            c.write_all(b"HTTP/1.1 302 Found\r\nlocation: /next\r\ncontent-length: 0\r\n\r\n")?;
        }
        Ok(request == 1)
    });
    all_fail(&[], &[(url, "redirected: too many redirects")]);
}

#[test]
fn a_request_is_sent_once_more_only_if_a_kept_connection_was_closed() {
    // The first connection serves one page; all others are closed without an answer.
    let (url, requests) = keeping(|mut c, connection, request| {
        if (connection, request) == (1, 1) {
            c.write_all(ANSWER)?;
        }
        Ok((connection, request) == (1, 1))
    });
    let urls: Vec<_> = ["--at-once", "1"]
        .into_iter()
        .map(str::to_owned)
        .chain((0..3).map(|n| format!("{url}{n}")))
        .collect();
    let (output, status) = run("016_fetch_pool", &urls);
    assert_eq!(status, Some(1), "{output}");
    assert!(output.contains("\n1 of 3 pages, 2 failed"), "{output}");
    // The first page; the second, and once more; the third, for which there was no kept connection.
    assert_eq!(requests.load(SeqCst), 4, "{output}");
    let closed = "failed: broken answer: connection closed before message completed";
    assert_eq!([fate(&output, &urls[3]), fate(&output, &urls[4])], [closed; 2]);
    // An answer that has begun is what there is.
    let (url, requests) = keeping(|mut c, _, request| {
        c.write_all(if request == 1 { ANSWER } else { &ANSWER[..ANSWER.len() - 1] })?;
        Ok(request == 1)
    });
    let urls: Vec<_> = ["--at-once", "1"]
        .into_iter()
        .map(str::to_owned)
        .chain((0..2).map(|n| format!("{url}{n}")))
        .collect();
    let (output, _) = run("016_fetch_pool", &urls);
    assert!(fate(&output, &urls[3]).starts_with("failed: broken answer: "), "{output}");
    assert_eq!(requests.load(SeqCst), 2, "{output}");
}

#[test]
fn urls_are_shown_and_not_obeyed() {
    let good = good();
    let url = good.url("/\u{1b}[2J\u{202e}\n中文");
    let shown = good.url("/\\u{1b}[2J\\u{202e}\\n中文");
    for case in BOTH {
        let (output, status) = run(case, std::slice::from_ref(&url));
        assert_eq!((status, fate(&output, &shown).as_str()), (Some(0), "4 bytes"), "{output}");
        assert!(!output.contains(['\u{1b}', '\u{202e}']), "{output}");
        use std::os::unix::ffi::OsStrExt;
        let mut command = command::<&str>(case, &[]);
        command.arg(std::ffi::OsStr::from_bytes(b"http://a/\xff"));
        let outcome = checks::run::run(&mut command).unwrap();
        assert_eq!(outcome.status.code(), Some(2));
        assert!(outcome.stderr.contains(r#""http://a/\xff" is not UTF-8"#), "{}", outcome.stderr);
    }
}

#[test]
fn a_page_that_is_too_large_is_not_taken() {
    let sized = Server::start(|path| Answer::page("x".repeat(path[1..].parse().unwrap()))).unwrap();
    let endless = server(|mut c| {
        c.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
        loop {
            c.write_all(b"400\r\n")?;
            c.write_all(&[b'x'; 0x400])?;
            c.write_all(b"\r\n")?;
        }
    });
    let until_closed = server(|mut c| {
        c.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        loop {
            c.write_all(&[b'x'; 4096])?;
        }
    });
    let large = "larger than 1000 bytes";
    let failing = [(sized.url("/1001"), large), (endless, large), (until_closed, large)];
    all_fail(&["--most", "1000"], &failing);
    let (output, status) = run("015_fetch_pages", &["--most", "1000", &sized.url("/1000")]);
    assert_eq!(status, Some(0), "{output}");
}

#[test]
fn a_server_that_closes_early_is_told_so() {
    let at_once = server(|_| Ok(()));
    let half = server(|mut c| c.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"));
    let chunk = server(|mut c| {
        c.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhal")
    });
    // A port in use at which nobody listens: the near end of a connection.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let held = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let nobody = held.local_addr().unwrap();
    all_fail(
        &[],
        &[
            (at_once, "broken answer: connection closed before message completed"),
            (half, "broken answer: end of file before message length reached"),
            (chunk, "broken answer: end of file before message length reached"),
            (format!("http://{nobody}/"), "cannot be reached: Connection refused (os error 111)"),
        ],
    );
}

#[test]
fn a_server_that_answers_nonsense_is_told_so() {
    let words = server(|mut c| c.write_all(b"hello, what is this?\r\n\r\n"));
    let zeros = server(|mut c| c.write_all(&[0; 1000]));
    let version = server(|mut c| c.write_all(b"HTTP/7.3 200 OK\r\n\r\n"));
    let length = server(|mut c| c.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n"));
    let chunk = server(|mut c| {
        c.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n")
    });
    let header = server(|mut c| {
        c.write_all(b"HTTP/1.1 200 OK\r\n")?;
        loop {
            c.write_all(b"more: and more\r\n")?;
        }
    });
    for case in BOTH {
        let urls = [&words, &zeros, &version, &length, &chunk, &header];
        let (output, status) = run(case, &urls);
        assert_eq!(status, Some(1));
        for url in urls {
            assert!(fate(&output, url).starts_with("failed: broken answer: "), "{output}");
        }
    }
}

#[test]
fn what_is_no_page_is_told_so() {
    let missing = Server::start(|_| Answer::missing()).unwrap();
    let broken =
        Server::start(|_| Answer { status: "503 Service Unavailable", ..Answer::page("") });
    let broken = broken.unwrap();
    all_fail(
        &[],
        &[
            (missing.url("/"), "404 Not Found"),
            (broken.url("/"), "503 Service Unavailable"),
            ("ftp://a/".into(), "invalid URL: \"ftp\" is neither http nor https"),
            ("nonsense".into(), "invalid URL: relative URL without a base"),
        ],
    );
}

/// A server with a certificate for `name`, made on the spot: its URL for localhost, and the
/// certificate.
fn tls_server(name: &str) -> (String, String) {
    tls_server_with(name, "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret".into())
}

/// The same with this answer.
fn tls_server_with(name: &str, answer: String) -> (String, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = signing_key.serialize_der().try_into().unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(session, connection);
            read_request(&mut stream);
            // A client that does not trust us has hung up by now.
            let _ = stream.write_all(answer.as_bytes());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    (url, cert.pem())
}

#[test]
fn tls_is_real() {
    let (right, certificate) = tls_server("localhost");
    let (wrong, other) = tls_server("elsewhere.example");
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, certificate + &other).unwrap();
    for case in BOTH {
        let (output, status) = run(case, &["--ca", ca.to_str().unwrap(), &right, &wrong]);
        assert_eq!((status, fate(&output, &right).as_str()), (Some(1), "6 bytes"), "{output}");
        assert!(fate(&output, &wrong).contains("not valid for name \"localhost\""), "{output}");
        let (output, _) = run(case, &[&right]);
        let untrusted = "failed: cannot be reached: invalid peer certificate: UnknownIssuer";
        assert_eq!(fate(&output, &right), untrusted);
    }
    // A page that was asked for over TLS does not come without.
    let plain = good();
    let moved = "HTTP/1.1 301 Moved Permanently\r\ncontent-length: 0\r\nlocation: ";
    let (down, certificate) =
        tls_server_with("localhost", format!("{moved}{}\r\n\r\n", plain.url("/")));
    std::fs::write(&ca, certificate).unwrap();
    let (output, _) = run("015_fetch_pages", &["--ca", ca.to_str().unwrap(), &down]);
    let refused =
        format!("failed: redirected: from https to {:?}, which is not encrypted", plain.url("/"));
    assert_eq!((fate(&output, &down), plain.requests()), (refused, 0));
    // A server without TLS, asked for it.
    let plain = good().url("/").replace("http:", "https:");
    let (output, _) = run("015_fetch_pages", &["--timeout", "30", &plain]);
    assert!(fate(&output, &plain).starts_with("failed: cannot be reached: "), "{output}");
}

#[test]
fn ctrl_c_ends_with_what_is_done() {
    let long = Duration::from_secs(3600);
    let server = Server::start(move |path| match path {
        "/1" | "/2" => Answer::page("good"),
        _ => Answer::page("never").after(long),
    });
    let server = server.unwrap();
    let urls = ["/1", "/never", "/2", "/never-either"].map(|path| server.url(path));
    for (case, flags) in [
        ("015_fetch_pages", &[][..]),
        ("016_fetch_pool", &["--at-once", "2"]),
        ("016_fetch_pool", &["--at-once", "2", "--by-hand"]),
    ] {
        let before = server.requests();
        let mut command = command(case, &urls);
        command.args(flags);
        let command = command.env_remove("TIMELINE").stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = Killed(command.spawn().unwrap());
        let mut stdout = BufReader::new(process.0.stdout.take().unwrap());
        let mut said = String::new();
        if case == "015_fetch_pages" {
            stdout.read_line(&mut said).unwrap();
            stdout.read_line(&mut said).unwrap();
        } else {
            // With two at once, the last one is asked for when the two good ones are there.
            until(|| server.requests() == before + 4);
        }
        let id = process.0.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        stdout.read_to_string(&mut said).unwrap();
        assert_eq!(checks::run::ended(&mut process.0).code(), Some(130), "{said}");
        assert!(said.contains("interrupted: 2 of 4 pages, 0 failed, in "), "{said}");
        if case == "016_fetch_pool" {
            let fates: Vec<_> =
                said.lines().take(4).map(|line| line.rsplit_once(": ").unwrap().1).collect();
            assert_eq!(fates, ["4 bytes", "not fetched", "4 bytes", "not fetched"]);
        }
    }
}

/// A process that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until it is so, and fails if it never is.
fn until(so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never came");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn progress_is_told_in_lines_where_there_is_no_terminal() {
    let server = Server::start(|_| Answer::page("").after(Duration::from_millis(1100))).unwrap();
    let mut arguments = vec!["--at-once".to_owned(), "1".into()];
    arguments.extend((0..3).map(|n| server.url(&format!("/{n}"))));
    let outcome = checks::run::run(&mut command("016_fetch_pool", &arguments)).unwrap();
    // At the first page after two seconds; no bar, no colors.
    assert!(["1 of 3 pages\n", "2 of 3 pages\n"].iter().any(|line| outcome.stderr.contains(line)));
    assert!(!outcome.stderr.contains('\x1b'), "{:?}", outcome.stderr);
    assert_eq!(outcome.status.code(), Some(0));
}

#[test]
fn the_local_pages_need_no_proxy() {
    for case in BOTH {
        let mut command = command::<&str>(case, &[]);
        let outcome = checks::run::run(command.env("http_proxy", "http://127.0.0.1:1")).unwrap();
        assert_eq!(outcome.status.code(), Some(0), "a page is missing on purpose");
        assert_eq!(outcome.stdout.matches("failed: ").count(), 1, "{}", outcome.stdout);
    }
}

#[test]
fn wrong_arguments_are_named() {
    for (arguments, status, named) in [
        (&["--timeout", "-1"][..], 2, "--timeout \"-1\": expected seconds from 0.001 to 86400"),
        (&["--timeout", "0"], 2, "--timeout \"0\": expected seconds"),
        (&["--timeout", "nan"], 2, "--timeout \"nan\": expected seconds"),
        (&["--timeout", "inf"], 2, "--timeout \"inf\": expected seconds"),
        (&["--most", "18446744073709551615"], 2, "--most \"18446744073709551615\": expected"),
        (&["--ca="], 2, "--ca \"\": expected a path"),
        (&["--timeout", "soon"], 2, "--timeout \"soon\""),
        (&["--most", "-1"], 2, "--most \"-1\""),
        (&["--color"], 2, "unknown argument \"--color\""),
        (&["--ca", "/nowhere.pem"], 1, "error: --ca /nowhere.pem: "),
        (&["--ca", "/dev/null"], 1, "error: --ca /dev/null: no certificate in it"),
    ] {
        for case in BOTH {
            let outcome = checks::run::run(&mut command(case, arguments)).unwrap();
            assert_eq!(outcome.status.code(), Some(status), "{}", outcome.stderr);
            assert!(outcome.stderr.contains(named), "{}", outcome.stderr);
        }
    }
    for wrong in ["0", "-1", "10001", "18446744073709551616", "nan", ""] {
        let outcome =
            checks::run::run(&mut command("016_fetch_pool", &["--at-once", wrong])).unwrap();
        let said = format!("--at-once {wrong:?}: expected a whole number from 1 to 10000");
        assert!(
            outcome.status.code() == Some(2) && outcome.stderr.contains(&said),
            "{}",
            outcome.stderr
        );
    }
    for case in BOTH {
        let (help, status) = run(case, &["--help"]);
        assert!(status == Some(0) && help.starts_with("Fetches web pages"));
        assert_eq!(run(case, &["--version"]), (format!("{case} 0.1.0\n"), Some(0)));
    }
}
