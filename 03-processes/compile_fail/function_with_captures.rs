//! Mistake: a process is to run a closure that captures something. The other process has none of
//! this one's memory. Right: what it needs goes in as its argument, as in 002_process_args.
//@ extern: multiproc
//@ error in the library: E0080

fn main() {
    multiproc::init();
    let captured = 1;
    let child = multiproc::spawn(move |n: u32| n + captured, 41).unwrap();
    println!("{}", child.join().unwrap());
}
