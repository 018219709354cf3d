//! Values whose encoding is not what they are decoded from: an error by every way that a value can
//! take, and never another value.

use std::fmt::Debug;
use std::time::Duration;

use multiproc::pipe::{self, RecvError, SendError};
use multiproc::queue::{GetError, PutError, Queue};
use multiproc::{JoinError, Pool, SpawnError, TaskError, encoding, spawn};
use serde::de::DeserializeOwned;
use serde::ser::{SerializeMap, SerializeSeq, SerializeTuple};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

harness::tests!([
    bytes_left_over_are_an_error_by_every_way,
    too_few_bytes_are_an_error_by_every_way,
    a_wrong_length_is_an_error_of_the_encoding_by_every_way,
    a_wrong_length_that_the_next_value_makes_up_for_is_an_error,
    a_skipped_field_is_an_error,
] helpers []);

/// Written as `written` bytes, and read as `read`.
#[derive(Debug)]
struct Lopsided<const WRITTEN: usize, const READ: usize>;

impl<const WRITTEN: usize, const READ: usize> Serialize for Lopsided<WRITTEN, READ> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = serializer.serialize_tuple(WRITTEN)?;
        (0..WRITTEN).try_for_each(|n| bytes.serialize_element(&(n as u8)))?;
        bytes.end()
    }
}

impl<'de, const WRITTEN: usize, const READ: usize> Deserialize<'de> for Lopsided<WRITTEN, READ> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader(usize);
        impl<'de> serde::de::Visitor<'de> for Reader {
            type Value = ();
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut bytes: A) -> Result<(), A::Error> {
                (0..self.0).try_for_each(|_| bytes.next_element::<u8>().map(drop))
            }
        }
        deserializer.deserialize_tuple(READ, Reader(READ)).map(|()| Lopsided)
    }
}

/// Values to send.
trait Make: Serialize + DeserializeOwned + Debug + Send + Sync + 'static {
    fn make() -> Self;
}

fn give<T: Make>(_: ()) -> T {
    T::make()
}

fn take<T>(_: T) {}

impl<const WRITTEN: usize, const READ: usize> Make for Lopsided<WRITTEN, READ> {
    fn make() -> Self {
        Lopsided
    }
}

/// Sends such a value by every way: whoever receives it has an error, and goes on with what comes
/// next.
fn undecodable<T: Make>(encoded: &[u8]) {
    let queue = Queue::<T>::bounded(2).unwrap();
    queue.put(&T::make()).unwrap();
    let got = queue.get();
    assert!(matches!(&got, Err(GetError::Decode(error)) if error.bytes == encoded), "{got:?}");
    assert!(queue.is_empty());

    let (sender, receiver) = pipe::simplex::<T>().unwrap();
    sender.send(&T::make()).unwrap();
    drop(sender);
    let received = receiver.recv();
    assert!(matches!(&received, Err(RecvError::Decode(e)) if e.bytes == encoded), "{received:?}");
    assert!(matches!(receiver.recv(), Err(RecvError::Closed)));

    let joined = spawn(take::<T>, T::make()).unwrap().join();
    assert!(matches!(joined, Err(JoinError::NotRun(_))), "{joined:?}");
    let child = spawn(give::<T>, ()).unwrap();
    for _ in 0..2 {
        let joined = child.join();
        assert!(matches!(&joined, Err(JoinError::Decode(e)) if e.bytes == encoded), "{joined:?}");
    }

    let is_decode = |result: &Result<(), TaskError>| matches!(result, Err(TaskError::Decode(error)) if error.bytes == encoded);
    let pool = Pool::builder().workers(1).build().unwrap();
    assert!(is_decode(&pool.apply(take::<T>, T::make())));
    assert!(is_decode(&pool.apply(give::<T>, ()).map(drop)));
    assert!(pool.map_each(give::<T>, [(); 3]).into_iter().all(|one| is_decode(&one.map(drop))));
    assert!(is_decode(&pool.map(give::<T>, [(); 3]).map(drop)));
    assert!(pool.imap(take::<T>, [T::make(), T::make()]).all(|one| is_decode(&one)));
    assert!(pool.imap_unordered(give::<T>, [(); 3]).all(|one| is_decode(&one.map(drop))));
    assert_eq!(pool.apply(|n: u32| n + 1, 1), Ok(2));

    // An initializer's argument: no worker becomes ready, and the reason is known in the end.
    let pool = Pool::builder().workers(1).initializer(take::<T>, T::make()).build().unwrap();
    let error = pool.apply(|n: u32| n, 1).unwrap_err();
    assert!(matches!(&error, TaskError::Broken(reason) if reason.contains("decode")), "{error:?}");

    let bytes = encoding::encode(&T::make()).unwrap().into_bytes();
    let decoded = encoding::decode::<T>(bytes);
    assert!(matches!(&decoded, Err(error) if error.bytes == encoded), "{decoded:?}");
}

fn bytes_left_over_are_an_error_by_every_way() {
    undecodable::<Lopsided<2, 1>>(&[0, 1]);
    undecodable::<Lopsided<1, 0>>(&[0]);
}

fn too_few_bytes_are_an_error_by_every_way() {
    undecodable::<Lopsided<1, 2>>(&[0]);
}

/// Announces `ANNOUNCED` elements and writes `WRITTEN`.
#[derive(Debug)]
struct Liar<const ANNOUNCED: usize, const WRITTEN: usize>;

impl<const ANNOUNCED: usize, const WRITTEN: usize> Serialize for Liar<ANNOUNCED, WRITTEN> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut elements = serializer.serialize_seq(Some(ANNOUNCED))?;
        (0..WRITTEN).try_for_each(|n| elements.serialize_element(&(n as u8)))?;
        elements.end()
    }
}

impl<'de, const ANNOUNCED: usize, const WRITTEN: usize> Deserialize<'de>
    for Liar<ANNOUNCED, WRITTEN>
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<u8>::deserialize(deserializer).map(|_| Liar)
    }
}

impl<const ANNOUNCED: usize, const WRITTEN: usize> Make for Liar<ANNOUNCED, WRITTEN> {
    fn make() -> Self {
        Liar
    }
}

/// Does the value's encoding fail by every way, and does nothing else happen?
fn unencodable<T: Make>() {
    let queue = Queue::<T>::bounded(2).unwrap();
    assert!(matches!(queue.put(&T::make()), Err(PutError::Encode(_))));
    assert!(queue.is_empty());

    let (sender, receiver) = pipe::simplex::<T>().unwrap();
    let sent = sender.send(&T::make());
    assert!(
        matches!(&sent, Err(SendError::Encode(error)) if error.to_string().contains("1")),
        "{sent:?}"
    );
    assert!(matches!(receiver.recv_timeout(Duration::ZERO), Err(RecvError::TimedOut)));

    assert!(matches!(spawn(take::<T>, T::make()), Err(SpawnError::Encode(_))));
    assert!(matches!(spawn(give::<T>, ()).unwrap().join(), Err(JoinError::Encode(_))));

    let is_encode = |result: &Result<(), TaskError>| matches!(result, Err(TaskError::Encode(_)));
    let pool = Pool::builder().workers(1).build().unwrap();
    assert!(is_encode(&pool.apply(take::<T>, T::make())));
    assert!(is_encode(&pool.apply(give::<T>, ()).map(drop)));
    assert!(pool.map_each(give::<T>, [(); 3]).into_iter().all(|one| is_encode(&one.map(drop))));
    assert!(pool.imap(take::<T>, [T::make(), T::make()]).all(|one| is_encode(&one)));
    assert_eq!(pool.apply(|n: u32| n + 1, 1), Ok(2));
}

fn a_wrong_length_is_an_error_of_the_encoding_by_every_way() {
    unencodable::<Liar<1, 2>>();
    unencodable::<Liar<2, 1>>();
    unencodable::<Liar<0, 1>>();
}

/// With its own bytes and the next one's the first value would be whole, and so would the second.
fn a_wrong_length_that_the_next_value_makes_up_for_is_an_error() {
    let queue = Queue::unbounded().unwrap();
    assert!(matches!(queue.put(&(Liar::<2, 1>, vec![1u8, 5])), Err(PutError::Encode(_))));
    let queue = Queue::unbounded().unwrap();
    let entries = [Liar::<1, 2>, Liar, Liar];
    assert!(matches!(queue.put(&Vec::from(entries)), Err(PutError::Encode(_))));

    struct Entries;
    impl Serialize for Entries {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(Some(2))?;
            map.serialize_entry(&1u8, &2u8)?;
            map.end()
        }
    }
    let (sender, _receiver) = pipe::simplex().unwrap();
    assert!(matches!(sender.send(&(Entries, (3u8, 4u8))), Err(SendError::Encode(_))));
}

fn a_skipped_field_is_an_error() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Record {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        comment: Option<u8>,
        numbers: Vec<u8>,
    }
    let (sender, receiver) = pipe::simplex().unwrap();
    let record = |comment| Record { comment, numbers: vec![1, 0] };
    // Without the field the bytes are those of a comment of 1 and no numbers.
    match sender.send(&record(None)) {
        Err(SendError::Encode(error)) => {
            assert!(error.to_string().contains("`comment`"), "{error}")
        }
        other => panic!("{other:?}"),
    }
    sender.send(&record(Some(1))).unwrap();
    assert_eq!(receiver.recv().unwrap(), record(Some(1)));
}
