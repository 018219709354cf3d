//! Mistake: an `async fn` is called, and nobody awaits its future, so its body never runs.
//! Right: `save().await`, as in 4_5_1_lazy_future. The compiler warns; this line makes it an error:
#![deny(unused_must_use)]

async fn save() {
    println!("saved");
}

// ANCHOR: mistake
async fn work() {
    save(); //~ unused_must_use
}
// ANCHOR_END: mistake

fn main() {
    drop(work());
}
