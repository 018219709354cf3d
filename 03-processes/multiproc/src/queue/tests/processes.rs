//! The queue between processes that end as they should.

use super::*;

#[test]
fn many_putters_and_getters_lose_and_double_nothing() {
    let _deadline = deadline(60);
    let queue = Queue::bounded(10).unwrap();
    let items = 300;
    let mut getters: Vec<_> =
        (0..3).map(|_| Orders::new("get", &queue, 0, u32::MAX).start()).collect();
    let mut putters: Vec<_> =
        (1..=3).map(|number| Orders::new("put", &queue, number, items).start()).collect();
    assert!(putters.iter_mut().all(|putter| putter.wait().success()));
    queue.close();
    assert!(getters.iter_mut().all(|getter| getter.wait().success()));
    let mut all: Vec<u64> = vec![];
    for getter in &getters {
        let got = getter.ledger.entries();
        for putter in 1..=3 {
            let of_one: Vec<u64> =
                got.iter().copied().filter(|entry| entry >> 32 == putter).collect();
            assert!(of_one.is_sorted(), "each putter's items in its order");
        }
        all.extend(got);
    }
    all.sort_unstable();
    let expected: Vec<u64> =
        (1..=3).flat_map(|putter| (0..items).map(move |number| pack(putter, number))).collect();
    assert!(all == expected, "each item once");
    assert_eq!(queue.inner.counts(), (900, 900));
}

#[test]
fn what_is_put_just_before_the_end_is_there() {
    let _deadline = deadline(30);
    let queue = Queue::unbounded().unwrap();
    for number in 0..5 {
        assert!(Orders::new("put and exit", &queue, number, 1).start().wait().success());
        assert_eq!(queue.len(), 1);
        assert_eq!(checked(&queue.try_get().unwrap()), (number, 0));
    }
}

#[test]
fn handles_work_in_messages_and_in_grandchildren() {
    let _deadline = deadline(30);
    let queue = Queue::unbounded().unwrap();
    assert!(Orders::new("grandchild", &queue, 1, 20).start().wait().success());
    for number in 0..20 {
        assert_eq!(checked(&queue.get().unwrap()), (2, number));
    }
    let mut orders = Orders::new("answer in handles", &queue, 3, 2);
    let handles = Queue::bounded(5).unwrap();
    orders.handles = Some(handles.clone());
    let mut child = orders.start();
    let answers = [Queue::<String>::bounded(1).unwrap(), Queue::bounded(1).unwrap()];
    answers.iter().for_each(|answers| handles.put(answers).unwrap());
    answers.iter().for_each(|answers| assert_eq!(answers.get().unwrap(), "from 3"));
    assert!(child.wait().success());
}
