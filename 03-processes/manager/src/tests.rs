//! The manager's behavior towards good clients, bad clients and dead ones.

use std::env;
use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

use harness::deadline;

use super::*;

const KEY: &[u8] = b"the tests' key";

fn manager() -> Builder {
    Manager::builder(KEY).queue("tasks", Some(3)).queue("results", None)
}

fn client(manager: &Manager) -> Client {
    Client::new(manager.address(), KEY).unwrap()
}

/// How the server ends a connection: everything it sent, and whether it had read all it was sent
/// (then the end is clean; the kernel resets a connection that is closed with bytes unread).
fn end_of(stream: &mut TcpStream) -> (Vec<u8>, bool) {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut all = vec![];
    match stream.read_to_end(&mut all) {
        Ok(_) => (all, true),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => (all, false),
        Err(error) => panic!("the server neither answers nor hangs up: {error}"),
    }
}

/// A connection that has done the handshake and opened the queue, by hand.
fn raw(manager: &Manager, queue: &str) -> TcpStream {
    let mut stream = TcpStream::connect(manager.address()).unwrap();
    let mut greeting = [0; 40];
    stream.read_exact(&mut greeting).unwrap();
    let server = greeting[8..].try_into().unwrap();
    let nonce = wire::nonce().unwrap();
    let proof = wire::proof(KEY, wire::Role::Client, server, &nonce, &[]);
    stream.write_all(&[nonce, proof].concat()).unwrap();
    stream.read_exact(&mut [0; 40]).unwrap();
    let mut open = vec![];
    wire::write_frame(&mut open, &wire::Request::Open { queue: queue.into() }, &[]).unwrap();
    stream.write_all(&open).unwrap();
    let mut reply = [0; 4];
    stream.read_exact(&mut reply).unwrap();
    let mut rest = vec![0; u32::from_le_bytes(reply) as usize];
    stream.read_exact(&mut rest).unwrap();
    stream
}

/// This test binary again, to run [`child`] only.
fn start_child(role: &str, address: SocketAddr) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["tests::child", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env("MANAGER_TEST_ROLE", role)
        .env("MANAGER_TEST_ADDRESS", address.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Reads the child's output up to a line that begins with `word`, and returns the rest of that
/// line.
fn line_from(child: &mut Child, word: &str) -> String {
    use std::io::BufRead;
    let lines = std::io::BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let mut found = lines
        .map_while(Result::ok)
        .filter_map(|line| line.split_once(word).map(|(_, rest)| rest.to_owned()));
    found.next().expect("the child says so")
}

/// Not a test: what the children run. They end when their standard input does, so none outlives its
/// parent.
#[test]
#[ignore = "the children of the other tests run this"]
fn child() {
    let role = env::var("MANAGER_TEST_ROLE").expect("started by a test");
    let address: SocketAddr = env::var("MANAGER_TEST_ADDRESS").unwrap().parse().unwrap();
    let until_told = || drop(std::io::stdin().read_to_end(&mut vec![]));
    match role.as_str() {
        "take and stay" => {
            let mut tasks = Client::new(address, KEY).unwrap().queue::<u32>("tasks").unwrap();
            let task = tasks.get().unwrap();
            println!("\ntook {}", *task);
            until_told();
            drop(task);
        }
        "serve" => {
            let manager = manager().listen(address).unwrap().start().unwrap();
            println!("\nserving {}", manager.address());
            until_told();
        }
        role => panic!("no such role: {role}"),
    }
}

#[test]
fn items_pass_in_order_and_are_gone_when_acknowledged() {
    let _deadline = deadline(30);
    let manager = manager().start().unwrap();
    let mut putter = client(&manager).queue::<String>("results").unwrap();
    let mut getter = client(&manager).queue::<String>("results").unwrap();
    for number in 0..20 {
        putter.put(&format!("item {number}")).unwrap();
    }
    assert_eq!(putter.count().unwrap(), (20, 0));
    for number in 0..20 {
        let item = getter.get().unwrap();
        assert_eq!(*item, format!("item {number}"));
        item.acknowledge().unwrap();
    }
    assert_eq!(putter.count().unwrap(), (0, 0));
    assert!(matches!(getter.get_timeout(Duration::ZERO), Err(ManagerError::Empty)));
}

#[test]
fn empty_and_large_items_and_other_types() {
    let _deadline = deadline(60);
    let manager = manager().max_item_bytes(20 << 20).start().unwrap();
    let mut queue = client(&manager).queue::<Vec<u8>>("results").unwrap();
    for len in [0, 1, 100_000, 20 << 20] {
        queue.put(&vec![3; len]).unwrap();
        assert!(queue.get().unwrap().acknowledge().unwrap() == vec![3; len], "{len} bytes");
    }
    let one_more = (20 << 20) + 1;
    match queue.put(&vec![3; one_more]) {
        Err(ManagerError::TooLarge { len, max }) => {
            assert_eq!((len as u64, max), (max + 1, 20 << 20))
        }
        other => panic!("{other:?}"),
    }
    let mut pairs = client(&manager).queue::<(u8, Option<String>)>("tasks").unwrap();
    assert_eq!(pairs.capacity(), Some(3));
    pairs.put(&(1, Some("x".into()))).unwrap();
    assert_eq!(pairs.get().unwrap().acknowledge().unwrap(), (1, Some("x".into())));
    // What another type has put cannot be decoded, and does not stay in the way.
    queue.put(&vec![255; 3]).unwrap();
    queue.put(&vec![1, 0]).unwrap();
    let mut others = client(&manager).queue::<(u8, Option<String>)>("results").unwrap();
    assert!(matches!(others.get(), Err(ManagerError::Decode(error)) if error.bytes == [255; 3]));
    assert_eq!(*others.get().unwrap(), (1, None));
}

#[test]
fn time_outs_are_kept_and_waiting_ends_with_an_item_or_room() {
    let _deadline = deadline(30);
    let manager = manager().start().unwrap();
    let mut queue = client(&manager).queue::<u32>("tasks").unwrap();
    let wait = Duration::from_millis(100);
    let start = Instant::now();
    assert!(matches!(queue.get_timeout(wait), Err(ManagerError::Empty)));
    (0..3).for_each(|item| queue.put(&item).unwrap());
    assert!(matches!(queue.put_timeout(&3, wait), Err(ManagerError::Full)));
    let took = start.elapsed();
    assert!(took >= wait * 2 && took < Duration::from_secs(10), "{took:?}");
    thread::scope(|scope| {
        let putter = scope.spawn(|| client(&manager).queue::<u32>("tasks").unwrap().put(&3));
        for item in 0..4 {
            assert_eq!(queue.get().unwrap().acknowledge().unwrap(), item);
        }
        putter.join().unwrap().unwrap();
        let getter = scope
            .spawn(|| client(&manager).queue::<u32>("tasks").unwrap().get().unwrap().acknowledge());
        thread::sleep(Duration::from_millis(30)); // so that it waits; it holds if it does not
        queue.put(&9).unwrap();
        assert_eq!(getter.join().unwrap().unwrap(), 9);
    });
}

#[test]
fn a_lease_dropped_goes_back_to_its_place() {
    let _deadline = deadline(30);
    let manager = manager().start().unwrap();
    let mut queue = client(&manager).queue::<u32>("tasks").unwrap();
    (0..3).for_each(|item| queue.put(&item).unwrap());
    drop(queue.get().unwrap());
    let mut other = client(&manager).queue::<u32>("tasks").unwrap();
    let first = queue.get().unwrap();
    assert_eq!((*first, other.count().unwrap()), (0, (2, 1)));
    let second = other.get().unwrap();
    assert_eq!(*second, 1);
    drop(second);
    drop(first);
    for item in 0..3 {
        assert_eq!(queue.get().unwrap().acknowledge().unwrap(), item, "in the old order");
    }
}

#[test]
fn a_client_that_dies_gives_its_item_back() {
    let _deadline = deadline(60);
    let manager = manager().start().unwrap();
    let mut queue = client(&manager).queue::<u32>("tasks").unwrap();
    queue.put(&1).unwrap();
    let mut worker = start_child("take and stay", manager.address());
    assert_eq!(line_from(&mut worker, "took "), "1");
    queue.put(&2).unwrap();
    assert_eq!(queue.count().unwrap(), (1, 1));
    worker.kill().unwrap();
    worker.wait().unwrap();
    let start = Instant::now();
    while queue.count().unwrap() != (2, 0) {
        assert!(start.elapsed() < Duration::from_secs(10));
    }
    assert_eq!(queue.get().unwrap().acknowledge().unwrap(), 1, "the one given back comes first");
}

#[test]
fn a_getter_that_dies_while_it_waits_takes_nothing() {
    let _deadline = deadline(60);
    let manager = manager().start().unwrap();
    let mut worker = start_child("take and stay", manager.address());
    let mut queue = client(&manager).queue::<u32>("tasks").unwrap();
    thread::sleep(Duration::from_millis(200)); // so that it waits; it holds if it does not
    worker.kill().unwrap();
    worker.wait().unwrap();
    queue.put(&1).unwrap();
    assert_eq!(*queue.get_timeout(Duration::from_secs(20)).unwrap(), 1);
}

#[test]
fn closed_queues_are_drained_and_wait_for_what_is_on_lease() {
    let _deadline = deadline(30);
    let manager = manager().start().unwrap();
    let mut queue = client(&manager).queue::<u32>("tasks").unwrap();
    let mut closer = client(&manager).queue::<u32>("tasks").unwrap();
    let mut waiter = client(&manager).queue::<u32>("tasks").unwrap();
    (0..2).for_each(|item| queue.put(&item).unwrap());
    closer.close().unwrap();
    assert!(matches!(queue.put(&3), Err(ManagerError::Closed)));
    assert_eq!(queue.get().unwrap().acknowledge().unwrap(), 0);
    let lease = queue.get().unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(move || {
            let item = waiter.get().unwrap().acknowledge().unwrap();
            (item, matches!(waiter.get(), Err(ManagerError::Closed)))
        });
        thread::sleep(Duration::from_millis(30)); // so that it waits; it holds if it does not
        drop(lease);
        assert_eq!(waiter.join().unwrap(), (1, true), "what was given back, and only then the end");
    });
}

#[test]
fn a_wrong_key_is_refused() {
    let _deadline = deadline(30);
    let manager = manager().start().unwrap();
    let wrong = Client::new(manager.address(), b"another key").unwrap();
    assert!(matches!(wrong.queue::<u32>("tasks"), Err(ManagerError::Refused)));
    assert!(Manager::builder(b"").start().is_err(), "no key at all");
    assert!(matches!(client(&manager).queue::<u32>("no such"), Err(ManagerError::NoSuchQueue)));
}

#[test]
fn nothing_but_the_proof_is_read_before_it_is_right() {
    let _deadline = deadline(30);
    let manager = manager().start().unwrap();
    let connect = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(manager.address()).unwrap();
        stream.write_all(bytes).unwrap();
        end_of(&mut stream)
    };
    // 64 bytes are read, and found wrong, and the answer is the end: after the greeting, nothing.
    let (sent, all_read) = connect(&[7; 64]);
    assert!(sent.starts_with(b"procmgr1") && sent.len() == 40 && all_read, "{sent:?}");
    // With one byte more, that byte is left unread.
    let (_, all_read) = connect(&[7; 65]);
    assert!(!all_read, "more than 64 bytes were read");
    // A frame that could be decoded, behind a proof that is wrong, does nothing.
    let mut frame = vec![7; 64];
    wire::write_frame(&mut frame, &wire::Request::Open { queue: "tasks".into() }, &[]).unwrap();
    let (_, all_read) = connect(&frame);
    assert!(!all_read);
    // A proof heard on another connection proves nothing here.
    let mut heard = [0; 64];
    heard[..32].copy_from_slice(&[5; 32]);
    let proof = wire::proof(KEY, wire::Role::Client, &[1; 32], &[5; 32], &[]);
    heard[32..].copy_from_slice(&proof);
    assert_eq!(connect(&heard).0.len(), 40);
    assert!(client(&manager).queue::<u32>("tasks").is_ok(), "and good clients are served");
}

#[test]
fn a_server_without_the_key_learns_nothing_and_is_refused() {
    let _deadline = deadline(30);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let impostor = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&[&b"procmgr1"[..], &[1; 32]].concat()).unwrap();
        stream.read_exact(&mut [0; 64]).unwrap();
        stream.write_all(&[9; 40]).unwrap();
        stream.read_to_end(&mut vec![]).unwrap()
    });
    let client = Client::new(address, KEY).unwrap();
    assert!(matches!(client.queue::<u32>("tasks"), Err(ManagerError::Refused)));
    assert_eq!(impostor.join().unwrap(), 0, "not a byte after the proof");
    // And one that says nothing at all is given up in time.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Client::new(mute.local_addr().unwrap(), KEY)
        .unwrap()
        .connect_timeout(Duration::from_millis(100));
    assert!(matches!(client.queue::<u32>("tasks"), Err(ManagerError::Disconnected(_))));
}

#[test]
fn who_connects_and_says_nothing_is_dropped_at_the_deadline() {
    let _deadline = deadline(30);
    let limit = Duration::from_millis(300);
    let manager = manager().handshake_timeout(limit).max_connections(3).start().unwrap();
    let start = Instant::now();
    let mut silent = TcpStream::connect(manager.address()).unwrap();
    let mut slow = TcpStream::connect(manager.address()).unwrap();
    slow.write_all(&[0; 63]).unwrap();
    assert!(end_of(&mut silent).1);
    assert!(end_of(&mut slow).1);
    let took = start.elapsed();
    assert!(took >= limit && took < Duration::from_secs(10), "{took:?}");
    assert!(client(&manager).queue::<u32>("tasks").is_ok(), "their places are free again");
}

#[test]
fn more_connections_than_allowed_are_refused_and_places_come_free() {
    let _deadline = deadline(30);
    let manager = manager().max_connections(2).start().unwrap();
    let first = client(&manager).queue::<u32>("tasks").unwrap();
    let _second = client(&manager).queue::<u32>("tasks").unwrap();
    assert!(client(&manager).queue::<u32>("tasks").is_err());
    drop(first);
    let start = Instant::now();
    while client(&manager).queue::<u32>("tasks").is_err() {
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn malformed_frames_close_that_client_only() {
    let _deadline = deadline(30);
    let manager = manager().start().unwrap();
    let mut good = client(&manager).queue::<u32>("tasks").unwrap();
    good.put(&5).unwrap();
    let lease = good.get().unwrap();
    let put = || {
        let mut frame = vec![];
        wire::write_frame(&mut frame, &wire::Request::Put { patience: wire::Patience::None }, &[1])
            .unwrap();
        frame
    };
    let frames: Vec<Vec<u8>> = vec![
        vec![0, 0, 0, 0],                // no header
        vec![3, 0, 0, 0, 255, 255, 255], // no such request
        u32::MAX.to_le_bytes().to_vec(), // longer than allowed
        vec![2, 0, 0, 0, 3, 99],         // acknowledges a lease that is not its own
        vec![2, 0, 0, 0, 4, 0],          // gives back another's lease
        [put(), put()].concat(),         // two at once
        vec![3, 0, 0, 0, 0, 1, b'x'],    // opens again
        vec![2, 0, 0, 0, 5, 0],          // counts, with something behind the request
        vec![2, 0, 0, 0, 6, 0],          // closes, the same
    ];
    for frame in frames {
        let mut bad = raw(&manager, "results");
        bad.write_all(&frame).unwrap();
        let (answer, _) = end_of(&mut bad);
        assert!(answer.is_empty(), "{frame:?} is answered by {answer:?}");
    }
    // Half a frame and then the end.
    let mut bad = raw(&manager, "tasks");
    bad.write_all(&put()[..3]).unwrap();
    drop(bad);
    assert_eq!(lease.acknowledge().unwrap(), 5, "the good one notices nothing");
    assert_eq!(good.count().unwrap(), (0, 0));
}

#[test]
fn a_server_that_is_gone_is_an_error_and_its_port_free_at_once() {
    let _deadline = deadline(60);
    let mut server = start_child("serve", SocketAddr::from(([127, 0, 0, 1], 0)));
    let address: SocketAddr = line_from(&mut server, "serving ").parse().unwrap();
    let connect = || Client::new(address, KEY).unwrap().queue::<u32>("tasks");
    let mut getter = connect().unwrap();
    let mut idle = connect().unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(move || getter.get().map(|_| ()));
        thread::sleep(Duration::from_millis(50)); // so that it waits; it holds if it does not
        server.kill().unwrap();
        server.wait().unwrap();
        assert!(matches!(waiting.join().unwrap(), Err(ManagerError::Disconnected(_))));
    });
    assert!(matches!(idle.put(&1), Err(ManagerError::Disconnected(_))));
    assert!(matches!(idle.put(&1), Err(ManagerError::Disconnected(_))), "and stays so");
    assert!(matches!(connect(), Err(ManagerError::Disconnected(_))));

    // On the same port, twice, with connections open when it ends.
    for _ in 0..2 {
        let manager = manager().listen(address).unwrap().start().unwrap();
        let mut queue = connect().unwrap();
        queue.put(&1).unwrap();
        drop(manager);
        assert!(matches!(queue.get().map(|_| ()), Err(ManagerError::Disconnected(_))));
    }
}

#[test]
fn many_workers_do_each_task_once() {
    let _deadline = deadline(60);
    let manager = manager().start().unwrap();
    let tasks = 500;
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let client = client(&manager);
                let (mut tasks, mut results) =
                    (client.queue("tasks").unwrap(), client.queue("results").unwrap());
                loop {
                    match tasks.get() {
                        Ok(task) => {
                            let task: Lease<'_, u64> = task;
                            results.put(&(*task, *task * *task)).unwrap();
                            task.acknowledge().unwrap();
                        }
                        Err(ManagerError::Closed) => break,
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
        let mut queue = client(&manager).queue::<u64>("tasks").unwrap();
        (0..tasks).for_each(|task| queue.put(&task).unwrap());
        queue.close().unwrap();
        let mut results = client(&manager).queue::<(u64, u64)>("results").unwrap();
        let mut all: Vec<(u64, u64)> =
            (0..tasks).map(|_| results.get().unwrap().acknowledge().unwrap()).collect();
        all.sort_unstable();
        assert!(all == (0..tasks).map(|task| (task, task * task)).collect::<Vec<_>>());
    });
}

/// An error and what caused it, as a program prints it.
fn chain(error: &ManagerError) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[test]
fn another_protocol_is_not_taken_for_a_wrong_key() {
    let _deadline = deadline(60);
    // What it sends first, and whether it then hangs up.
    let others: [(&[u8], bool); 9] = [
        (b"SSH-2.0-OpenSSH_9.2\r\n", false),
        (b"220 mail.example.org ESMTP\r\n", false),
        (b"* OK IMAP4rev1\r\n", true),
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", true),
        (b"procmgr2 of a later version, whose greeting is as long", false),
        (b"p", true),
        (b"procmgr1 cut off", true),
        (b"\0", false),
        (&[0xff; 4096], true),
    ];
    for (greeting, hangs_up) in others {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = Client::new(listener.local_addr().unwrap(), KEY).unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(greeting).unwrap();
            if !hangs_up {
                let _ = stream.read(&mut [0]); // until the client hangs up
            }
        });
        let start = Instant::now();
        let error = client.queue::<u32>("tasks").unwrap_err();
        assert!(matches!(error, ManagerError::NotAManager), "{greeting:?}: {error:?}");
        assert!(chain(&error).contains("not a manager"));
        assert!(start.elapsed() < Duration::from_secs(4), "seen at once, not at the time-out");
        server.join().unwrap();
    }
    // One that waits for the client to speak first, and a manager that has no room.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Client::new(mute.local_addr().unwrap(), KEY).unwrap();
    let client = client.connect_timeout(Duration::from_millis(100));
    let error = client.queue::<u32>("tasks").unwrap_err();
    assert!(chain(&error).contains("another program listens there"), "{}", chain(&error));
    let manager = manager().max_connections(1).start().unwrap();
    let _only = self::client(&manager).queue::<u32>("tasks").unwrap();
    let error = self::client(&manager).queue::<u32>("tasks").unwrap_err();
    assert!(chain(&error).contains("no room for another one"), "{}", chain(&error));
}

#[test]
fn a_lost_connection_is_described_in_words() {
    let _deadline = deadline(60);
    let manager = manager().start().unwrap();
    let mut waiting = client(&manager).queue::<u32>("tasks").unwrap();
    let mut idle = client(&manager).queue::<u32>("tasks").unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(move || waiting.get().map(drop).unwrap_err());
        thread::sleep(Duration::from_millis(50)); // so that it waits; it holds if it does not
        drop(manager);
        for error in [waiting.join().unwrap(), idle.put(&1).unwrap_err(), idle.put(&1).unwrap_err()]
        {
            let text = chain(&error);
            assert!(text.contains("the manager closed") || text.contains("was lost"), "{text}");
        }
    });
}

#[test]
fn a_key_is_needed_on_both_sides() {
    let error = Client::new("127.0.0.1:1", b"").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    let error = Manager::builder(b"").start().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
}

#[test]
fn wrong_items_are_taken_one_by_one_and_cost_nothing_else() {
    let _deadline = deadline(60);
    let manager = manager().start().unwrap();
    let mut texts = client(&manager).queue::<Vec<u8>>("results").unwrap();
    // Cut off, with a byte left over, not UTF-8, empty: none of them is a `(u32, String)`.
    let wrong: [&[u8]; 5] = [&[5, 9, b'x'], &[1, 1, b'a', 0], &[1, 1, 0xff], &[], &[0xff; 300]];
    let right = postcard::to_stdvec(&(7u32, "right".to_owned())).unwrap();
    for item in wrong {
        texts.put(&item.to_vec()).unwrap();
        texts.put(&right).unwrap();
    }
    let mut results = client(&manager).queue::<(u32, String)>("results").unwrap();
    for item in wrong {
        match results.get_timeout(Duration::from_secs(20)) {
            Err(ManagerError::Decode(error)) => assert_eq!(error.bytes, item),
            other => panic!("{other:?}"),
        }
        let lease = results.get().unwrap();
        assert_eq!(*lease, (7, "right".to_owned()));
        lease.acknowledge().unwrap();
    }
    assert_eq!(results.count().unwrap(), (0, 0));
}

#[test]
fn an_item_whose_decoding_panics_goes_back() {
    #[derive(Debug)]
    struct Panics;
    impl<'de> serde::Deserialize<'de> for Panics {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Panics, D::Error> {
            panic!("while it is decoded")
        }
    }
    let _deadline = deadline(60);
    let manager = manager().start().unwrap();
    let mut numbers = client(&manager).queue::<u32>("tasks").unwrap();
    numbers.put(&5).unwrap();
    let mut queue = client(&manager).queue::<Panics>("tasks").unwrap();
    let get = std::panic::AssertUnwindSafe(|| queue.get().map(drop));
    assert!(std::panic::catch_unwind(get).is_err());
    assert_eq!(numbers.count().unwrap(), (1, 0), "it is on lease to nobody");
    assert_eq!(numbers.get().unwrap().acknowledge().unwrap(), 5);
    assert_eq!(queue.count().unwrap(), (0, 0), "and the connection is as good as before");
}
