//! Mistake: a struct holds a list, and a loop is to go over the struct.
//! Right: `impl IntoIterator`, as in 005_my_list; or loop over the list, `&classmates.names`.

struct Classmates {
    names: Vec<String>,
}

fn main() {
    let classmates = Classmates { names: vec!["Ann".into(), "Bob".into()] };
    println!("{} names", classmates.names.len());
    for name in classmates { //~ E0277
        println!("{name}");
    }
}
