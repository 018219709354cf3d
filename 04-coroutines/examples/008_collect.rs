//! 008 · 收集 · Collect: what consumes an iterator besides a loop, and into what.
//!
//! Python: `list(it)`, `tuple(it)`, `dict(it)`, `"".join(it)`: each knows how to consume an
//! iterator.
//! Rust: one `collect`; the type that is wanted says what comes of it, and any type can be one
//! (`FromIterator`). Into a `Result` it stops at the first error, and the rest is not even made.
//!
//! Run: `cargo run --example 008_collect`
//! Notes: `notes/en/04-coroutines.md#lazy` · `notes/zh-CN/04-coroutines.md#lazy`
//!
//! ```output
//! Vec:     [0, 1, 4, 9, 16]
//! String:  edcba
//! HashMap: b is 2 of 3
//! Result:  Ok([1, 2, 3])
//! Result:  Err("x is no number") after 2 of 4 words
//! MyList:  [0, 1, 4, 9, 16]
//! ```

use std::collections::HashMap;

// ANCHOR: own
struct MyList {
    items: Vec<u32>,
}

impl FromIterator<u32> for MyList {
    fn from_iter<I: IntoIterator<Item = u32>>(items: I) -> MyList {
        let mut list = MyList { items: Vec::new() };
        for item in items {
            list.items.push(item);
        }
        list
    }
}
// ANCHOR_END: own

fn main() {
    util::case!();
    // ANCHOR: collect
    let squares = || (0..5).map(|n| n * n);
    let list: Vec<u32> = squares().collect();
    let text: String = "abcde".chars().rev().collect();
    let map: HashMap<char, u32> = "abc".chars().zip(1..).collect();
    // ANCHOR_END: collect
    println!("Vec:     {list:?}");
    println!("String:  {text}");
    println!("HashMap: b is {} of {}", map[&'b'], map.len());

    // ANCHOR: result
    let mut looked_at = 0;
    let mut numbers = |words: &[&str]| -> Result<Vec<u32>, String> {
        let parsed = words.iter().map(|word| {
            looked_at += 1;
            word.parse().map_err(|_| format!("{word} is no number"))
        });
        parsed.collect()
    };
    let right = numbers(&["1", "2", "3"]);
    let wrong = numbers(&["1", "x", "3", "y"]);
    // ANCHOR_END: result
    looked_at -= 3;
    println!("Result:  {right:?}");
    println!("Result:  {wrong:?} after {looked_at} of 4 words");

    let own: MyList = squares().collect();
    println!("MyList:  {:?}", own.items);
    assert_eq!(own.items, list);
    assert_eq!((text.as_str(), map[&'c']), ("edcba", 3));
    assert!(right == Ok(vec![1, 2, 3]) && wrong.is_err() && looked_at == 2);
}
