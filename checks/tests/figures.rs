//! The figures in the READMEs are those of `benches/figures.json`, which `report --pages` writes: a
//! table edited by hand is found out.

use benches::figures::Figures;

#[test]
fn the_pages_say_what_was_measured() {
    if let Err(complaint) = Figures::kept().unwrap().check() {
        panic!("{complaint}");
    }
}
