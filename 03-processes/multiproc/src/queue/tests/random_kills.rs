//! The queue when processes are killed at any moment: every item is accounted for.

use std::collections::HashMap;

use super::kill_points::was_killed;
use super::*;

/// How many kills: a few hundred, or what `QUEUE_KILLS` says. The long run:
/// `QUEUE_KILLS=10000 cargo test --release killed_at_random -- --nocapture`.
fn kills() -> u32 {
    env::var("QUEUE_KILLS").map_or(200, |kills| kills.parse().expect("QUEUE_KILLS is a number"))
}

#[test]
fn killed_at_random_instants_every_item_is_accounted_for() {
    let kills = kills();
    let _deadline = deadline(60 + u64::from(kills) / 8);
    let queue = Queue::bounded(8).unwrap();
    let mut random = RandomState::new();
    let mut accounts = Accounts::default();
    let mut next_number = 0;
    let mut start = |slot: usize| {
        next_number += 1;
        let role = if slot < 2 { "put" } else { "get and note" };
        (next_number, Orders::new(role, &queue, next_number, LEDGER_ENTRIES as u32).start())
    };
    let mut children: Vec<(u32, Child)> = (0..4).map(&mut start).collect();
    let mut killed = 0;
    while killed < kills {
        let slot = random.below(4) as usize;
        let (number, child) = &mut children[slot];
        let stuck = Instant::now() + Duration::from_secs(20);
        // A child counts once it has done something; with all others alive, every child gets on.
        while child.ledger.done() == 0 && child.is_running() {
            assert!(Instant::now() < stuck, "child {number} gets nowhere: {queue:?}");
            thread::sleep(Duration::from_micros(100));
        }
        let pause = random.below(1500);
        let until = Instant::now() + Duration::from_micros(pause);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        child.process.kill().unwrap();
        killed += u32::from(was_killed(child.wait()));
        accounts.add(slot < 2, *number, &child.ledger);
        children[slot] = start(slot);
    }
    for (slot, (number, child)) in children.iter_mut().enumerate() {
        child.kill();
        accounts.add(slot < 2, *number, &child.ledger);
    }
    let left = queue.len();
    queue.close();
    let mut drained = 0;
    loop {
        match queue.get_timeout(Duration::from_secs(20)) {
            Ok(item) => {
                let (putter, number) = checked(&item);
                accounts.deliver(putter, number);
                drained += 1;
            }
            Err(GetError::Closed) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(left, drained, "len is exact");
    accounts.check(queue.inner.counts());
    eprintln!(
        "{killed} kills: {} items, {} died with their getters: {} noted as taken, {} getters killed \
         in the act",
        queue.inner.counts().0,
        accounts.lost,
        accounts.taken,
        accounts.in_the_act
    );
}

/// Who put what and who got what.
#[derive(Default)]
struct Accounts {
    /// Of each putter: how many puts had begun, and were done, when it died.
    putters: HashMap<u32, (u64, u64)>,
    /// Of each putter, the items that were delivered.
    delivered: HashMap<u32, Vec<u32>>,
    /// Items that getters had taken, by their own notes, and not yet written down when they died.
    taken: u64,
    /// Getters that died in the very step that takes the item (a system call, if it wakes a
    /// putter): before or after, nobody knows.
    in_the_act: u64,
    deliveries: u64,
    lost: u64,
}

impl Accounts {
    fn add(&mut self, is_putter: bool, child: u32, ledger: &Ledger) {
        if is_putter {
            self.putters.insert(child, (ledger.begun(), ledger.done()));
            return;
        }
        let mut last = HashMap::new();
        for entry in ledger.entries() {
            let (putter, number) = ((entry >> 32) as u32, entry as u32);
            if let Some(before) = last.insert(putter, number) {
                assert!(before < number, "a getter sees each putter's items in order");
            }
            self.deliver(putter, number);
        }
        let taken = ledger.took_effect() - ledger.done();
        let in_the_act = ledger.about() - ledger.took_effect();
        assert!(taken + in_the_act <= ledger.begun() - ledger.done() && taken + in_the_act <= 1);
        self.taken += taken;
        self.in_the_act += in_the_act;
    }

    fn deliver(&mut self, putter: u32, number: u32) {
        self.delivered.entry(putter).or_default().push(number);
        self.deliveries += 1;
    }

    fn check(&mut self, (put, got): (u64, u64)) {
        assert_eq!(put, got, "the queue is empty");
        let (mut at_least, mut at_most) = (0, 0);
        for (putter, (begun, done)) in &self.putters {
            assert!(begun - done <= 1);
            at_least += done;
            at_most += begun;
            let numbers = self.delivered.entry(*putter).or_default();
            numbers.sort_unstable();
            assert!(
                numbers.windows(2).all(|pair| pair[0] != pair[1]),
                "nothing is delivered twice"
            );
            assert!(
                numbers.last().is_none_or(|last| u64::from(*last) < *begun),
                "nothing comes from nowhere"
            );
        }
        assert!(self.delivered.keys().all(|putter| self.putters.contains_key(putter)));
        assert!(at_least <= put && put <= at_most, "{at_least} <= {put} <= {at_most}");
        self.lost = put - self.deliveries;
        // What died with a getter is what that getter had taken. A getter that died waiting,
        // reading, or anywhere else, took nothing.
        let most = self.taken + self.in_the_act;
        assert!(
            self.taken <= self.lost && self.lost <= most,
            "{} <= {} <= {most}",
            self.taken,
            self.lost
        );
    }
}

/// A small generator: SplitMix64, by S. Vigna.
struct RandomState(u64);

impl RandomState {
    fn new() -> RandomState {
        use std::hash::{BuildHasher, RandomState as Seed};
        let seed = env::var("QUEUE_SEED")
            .map_or_else(|_| Seed::new().hash_one(0), |seed| seed.parse().unwrap());
        eprintln!("QUEUE_SEED={seed}");
        RandomState(seed)
    }
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) % bound
    }
}
