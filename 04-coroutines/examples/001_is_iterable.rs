//! 001 · 可迭代对象 · Who is iterable: two traits, and the compiler knows the answer.
//!
//! Python: `isinstance(x, Iterable)` and `isinstance(x, Iterator)`, asked of an object while the
//! program runs.
//! Rust: `IntoIterator` can be looped over, `Iterator` is what does the looping and remembers where
//! it is. Both are facts about a type, settled before the program runs. A string is not iterable:
//! one has to say what of it, `chars`, `bytes` or `lines`.
//!
//! Run: `cargo run --example 001_is_iterable`
//! Notes: `notes/en/04-coroutines.md#iterable` · `notes/zh-CN/04-coroutines.md#iterable`
//!
//! ```output
//! type                  iterable  iterator
//! i32                         no        no
//! &str                        no        no
//! str::Chars                 yes       yes
//! Vec<i32>                   yes        no
//! &Vec<i32>                  yes        no
//! vec::IntoIter<i32>         yes       yes
//! HashMap<String, i32>       yes        no
//! Range<i32>                 yes       yes
//! ```

use std::{collections::HashMap, marker::PhantomData, ops::Range, str, vec};
use util::measure::Table;

// ANCHOR: ask
/// A question about the type `T`. The constants of the two `impl Ask` are only there if `T` has the
/// trait; where they are not, the ones of `No` are found, since a type's own constants come before
/// a trait's.
struct Ask<T>(PhantomData<T>);

trait No {
    const ITERABLE: bool = false;
    const ITERATOR: bool = false;
}

impl<T> No for Ask<T> {}

impl<T: IntoIterator> Ask<T> {
    const ITERABLE: bool = true;
}

impl<T: Iterator> Ask<T> {
    const ITERATOR: bool = true;
}
// ANCHOR_END: ask

fn main() {
    util::case!();
    let mut table = Table::new(["type", "iterable", "iterator"]);
    let mut row = |name: &str, iterable, iterator| {
        let word = |answer| if answer { "yes" } else { "no" };
        table.row([name, word(iterable), word(iterator)]);
    };
    row("i32", Ask::<i32>::ITERABLE, Ask::<i32>::ITERATOR);
    row("&str", Ask::<&str>::ITERABLE, Ask::<&str>::ITERATOR);
    row("str::Chars", Ask::<str::Chars>::ITERABLE, Ask::<str::Chars>::ITERATOR);
    row("Vec<i32>", Ask::<Vec<i32>>::ITERABLE, Ask::<Vec<i32>>::ITERATOR);
    row("&Vec<i32>", Ask::<&Vec<i32>>::ITERABLE, Ask::<&Vec<i32>>::ITERATOR);
    type Items = vec::IntoIter<i32>;
    row("vec::IntoIter<i32>", Ask::<Items>::ITERABLE, Ask::<Items>::ITERATOR);
    type Map = HashMap<String, i32>;
    row("HashMap<String, i32>", Ask::<Map>::ITERABLE, Ask::<Map>::ITERATOR);
    row("Range<i32>", Ask::<Range<i32>>::ITERABLE, Ask::<Range<i32>>::ITERATOR);
    println!("{table}");

    // The compiler can be held to it: these are checked before the program exists.
    const { assert!(Ask::<Vec<i32>>::ITERABLE && !Ask::<Vec<i32>>::ITERATOR) };
    // every iterator is iterable
    const { assert!(Ask::<Items>::ITERABLE && Ask::<Items>::ITERATOR) };
    const { assert!(!Ask::<i32>::ITERABLE && !Ask::<&str>::ITERABLE) };
}
