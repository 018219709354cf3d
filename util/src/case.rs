//! The first line of a case's `main`.

/// Prints one line that says that a case, or a part of it, cannot be shown on this system, and
/// `why`, and where to see it whole. What else the case prints is as on Linux.
///
/// ```
/// util::needs_linux("only its kernel reports it");
/// ```
pub fn needs_linux(why: &str) {
    println!("needs Linux: {why}; run this case there, in WSL or in a container");
}

/// The first statement of a case's `main`: makes it a well-behaved command-line program.
///
/// - `--help` prints the header of the case: the `//!` lines at the top of its file. `--version`
///   prints its version.
/// - Any other argument is an error: one line on standard error, and status 2. So is an invalid
///   `TICK_MS` or `TIMELINE`.
/// - A standard output that cannot be written ends the program, as [`output`](crate::output) says.
///
/// A case of several files names the one with the header: `util::case!("main.rs")`. A case that has
/// flags of its own asks for its [`Args`](crate::args::Args): `util::case!(args)`, and later
/// `args.finish()`. In a case that starts processes, this stands before `multiproc::init()`, for it
/// holds in its children too; they have the same arguments, which are valid.
///
/// ```ignore
/// fn main() {
///     util::case!();
///     println!("hello");
/// }
/// ```
#[macro_export]
macro_rules! case {
    () => {
        $crate::case!(@ concat!(env!("CARGO_BIN_NAME"), ".rs"), args);
        args.finish();
    };
    ($file:literal) => {
        $crate::case!(@ $file, args);
        args.finish();
    };
    ($args:ident) => {
        $crate::case!(@ concat!(env!("CARGO_BIN_NAME"), ".rs"), $args);
    };
    (@ $file:expr, $args:ident) => {
        let _output = $crate::output::start();
        #[allow(unused_mut, reason = "a case without flags of its own")]
        let mut $args = $crate::args::Args::of_case(include_str!($file));
    };
}
