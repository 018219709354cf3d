//! 005 · 自己的列表 · A list of one's own: three ways to loop over it, and the loop written out.
//!
//! Python: `MyList.__iter__` returns a `MyIterator` that has the list and a position.
//! Rust: the same two types. And since a loop may look at the items, change them or take them,
//! there are three `IntoIterator`: for `&MyList`, `&mut MyList` and `MyList`.
//!
//! Run: `cargo run --example 005_my_list`
//! Notes: `notes/en/04-coroutines.md#iterators` · `notes/zh-CN/04-coroutines.md#iterators`
//!
//! ```output
//! looked at: Ann Bob Cid
//! the loop by hand: Ann Bob Cid
//! changed: Ann! Bob! Cid!
//! two at once: Ann!-Ann! Ann!-Bob! Ann!-Cid! Bob!-Ann! Bob!-Bob! Bob!-Cid! Cid!-Ann! Cid!-Bob! Cid!-Cid!
//! taken: Ann! Bob! Cid!
//! ```

use std::{slice, vec};

// ANCHOR: types
struct MyList<T> {
    items: Vec<T>,
}

/// Remembers where it is. The list does not, so many can go over one list, each at its own place.
struct MyIterator<'a, T> {
    list: &'a MyList<T>,
    position: usize,
}

impl<'a, T> Iterator for MyIterator<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        // past the end: `None`, and that ends the loop
        let item = self.list.items.get(self.position)?;
        self.position += 1;
        Some(item)
    }
}
// ANCHOR_END: types

// ANCHOR: three
impl<'a, T> IntoIterator for &'a MyList<T> {
    type Item = &'a T;
    type IntoIter = MyIterator<'a, T>;

    fn into_iter(self) -> MyIterator<'a, T> {
        MyIterator { list: self, position: 0 }
    }
}

impl<'a, T> IntoIterator for &'a mut MyList<T> {
    type Item = &'a mut T;
    type IntoIter = slice::IterMut<'a, T>;

    fn into_iter(self) -> slice::IterMut<'a, T> {
        self.items.iter_mut()
    }
}

impl<T> IntoIterator for MyList<T> {
    type Item = T;
    type IntoIter = vec::IntoIter<T>;

    fn into_iter(self) -> vec::IntoIter<T> {
        self.items.into_iter()
    }
}
// ANCHOR_END: three

#[expect(clippy::while_let_loop)] // one of the loops is written out on purpose
fn main() {
    util::case!();
    let mut list = MyList { items: ["Ann", "Bob", "Cid"].map(String::from).to_vec() };
    print!("looked at:");
    for name in &list {
        print!(" {name}");
    }
    print!("\nthe loop by hand:");
    // ANCHOR: by_hand
    let mut iterator = (&list).into_iter();
    loop {
        match iterator.next() {
            Some(name) => print!(" {name}"),
            None => break,
        }
    }
    // ANCHOR_END: by_hand
    print!("\nchanged:");
    for name in &mut list {
        name.push('!');
        print!(" {name}");
    }
    print!("\ntwo at once:");
    for one in &list {
        for other in &list {
            print!(" {one}-{other}");
        }
    }
    print!("\ntaken:");
    let mut taken = Vec::new();
    for name in list {
        print!(" {name}");
        taken.push(name); // it is ours now, and `list` is gone
    }
    println!();
    assert_eq!(taken, ["Ann!", "Bob!", "Cid!"]);
}
