//! 11.006 · 生成器表达式 · Lazy and eager: `map` only says what is to be done, `collect` does it.
//!
//! Python: `(f(x) for x in xs)` is a generator, `[f(x) for x in xs]` a list.
//! Rust: the first is `xs.iter().map(f)`, the second `xs.iter().map(f).collect()`. Nothing runs
//! before it is asked for; then each item goes through all the steps before the next one begins. A
//! `map` that is never driven does nothing at all, and the compiler warns of it. (An array's own
//! `map` is eager.)
//!
//! Run: `cargo run --example 11_006_generator_expression`
//! Notes: `notes/en/04-coroutines.md#lazy` · `notes/zh-CN/04-coroutines.md#lazy`
//!
//! ```output
//! lazy: nothing has run yet
//!   double 1
//!   keep 2?
//!   double 2
//!   keep 4?
//! lazy: the first is 4
//!   double 3
//!   keep 6?
//! lazy: the next is 6
//! eager:
//!   double 1
//!   double 2
//!   double 3
//!   keep 2?
//!   keep 4?
//!   keep 6?
//! eager: [4, 6], all there before one is looked at
//! ```

fn double(n: &u32) -> u32 {
    println!("  double {n}");
    n * 2
}

fn keep(n: &u32) -> bool {
    println!("  keep {n}?");
    *n > 2
}

fn main() {
    util::case!();
    let numbers = [1, 2, 3];

    // ANCHOR: lazy
    let mut lazy = numbers.iter().map(double).filter(keep);
    println!("lazy: nothing has run yet");
    let first = lazy.next().unwrap();
    println!("lazy: the first is {first}");
    // ANCHOR_END: lazy
    let next = lazy.next().unwrap();
    println!("lazy: the next is {next}");
    assert_eq!((first, next, lazy.next()), (4, 6, None));

    println!("eager:");
    // ANCHOR: eager
    let mut eager: Vec<u32> = numbers.iter().map(double).collect(); // a list
    eager.retain(keep); // a second walk
    // ANCHOR_END: eager
    println!("eager: {eager:?}, all there before one is looked at");
    assert_eq!(eager, [4, 6]);
}
