//! A queue of the manager: its items, and who waits for them.

use std::collections::VecDeque;

pub(super) struct Item {
    /// Its place in the order of puts, to which it returns if it is given back.
    pub(super) order: u64,
    pub(super) bytes: Vec<u8>,
}

pub(super) struct NamedQueue {
    pub(super) capacity: Option<usize>,
    pub(super) items: VecDeque<Item>,
    pub(super) next_order: u64,
    pub(super) leased: usize,
    pub(super) closed: bool,
    /// Connections that wait, in the order they came.
    pub(super) getters: VecDeque<u64>,
    pub(super) putters: VecDeque<u64>,
}

impl NamedQueue {
    pub(super) fn new(capacity: Option<usize>) -> NamedQueue {
        NamedQueue {
            capacity,
            items: VecDeque::new(),
            next_order: 0,
            leased: 0,
            closed: false,
            getters: VecDeque::new(),
            putters: VecDeque::new(),
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.capacity.is_none_or(|capacity| self.items.len() < capacity)
    }

    pub(super) fn push(&mut self, bytes: Vec<u8>) {
        self.items.push_back(Item { order: self.next_order, bytes });
        self.next_order += 1;
    }

    pub(super) fn give_back(&mut self, item: Item) {
        self.leased -= 1;
        let place = self.items.partition_point(|other| other.order < item.order);
        self.items.insert(place, item);
    }

    /// No item will come any more: closed, none left, and none that a getter might still give back.
    pub(super) fn is_over(&self) -> bool {
        self.closed && self.items.is_empty() && self.leased == 0
    }

    /// Lets this connection wait no longer.
    pub(super) fn forget(&mut self, id: u64) {
        self.getters.retain(|other| *other != id);
        self.putters.retain(|other| *other != id);
    }
}
