//! Messages on standard error.

/// Prints a line on standard error like `std`'s macro of that name, which panics if it cannot; this
/// one then prints nothing.
///
/// ```
/// use util::eprintln;
/// eprintln!("error: {}", "no such file");
/// ```
#[macro_export]
macro_rules! eprintln {
    ($($message:tt)*) => {{
        let _ = ::std::io::Write::write_fmt(
            &mut ::std::io::stderr(),
            ::std::format_args!("{}\n", ::std::format_args!($($message)*)),
        );
    }};
}
