//! One side of a queue by itself.

use std::sync::Arc;

use crate::shm::arena::Region;
use crate::threads::spawn;

#[path = "../../../src/queue/bytes/layout.rs"]
mod layout;
#[path = "../../../src/queue/bytes/side.rs"]
#[allow(clippy::module_inception)]
mod side;

use layout::Side;

/// The two halves of a state belong together, and none is older than the one before it.
pub(crate) fn read_while_changed() {
    let memory = Arc::new(Region::create(4096).unwrap().map(0, 4096).unwrap());
    let thread = spawn({
        let memory = Arc::clone(&memory);
        move || {
            let side = memory.get::<Side>(0);
            let first = side.theirs();
            let second = side.theirs();
            assert_eq!((first.position, second.position), (10 * first.count, 10 * second.count));
            assert!(first.count <= second.count);
        }
    });
    let side = memory.get::<Side>(0);
    for count in 1..=3 {
        side.commit(side.mine(), 10 * count, count);
    }
    thread.join().unwrap();
}
