//! Mistake: `into_iter` is there, and what it gives is no iterator.
//! Right: a type with `next`, as in 005_my_list.

struct Classmates {
    names: Vec<String>,
}

impl IntoIterator for Classmates {
    type Item = String;
    type IntoIter = (); //~ E0277

    fn into_iter(self) {
        println!("{} names", self.names.len());
    }
}

fn main() {
    Classmates { names: vec!["Ann".into(), "Bob".into()] }.into_iter();
}
