//! The program's executable file as it is loaded in this process: where its code lies, which build
//! it is, and whether it can be started again.
//!
//! The kernel hands every program the address of its program headers. They say which part of the
//! executable is mapped where, so they distinguish the program's own code from that of shared
//! libraries. Symbols such as `__executable_start` do not, since a shared library has its own.
//!
//! # Invariants of the `unsafe` code
//!
//! - `getauxval(AT_PHDR)` is the address of the program headers, `AT_PHNUM` of them, in memory that
//!   stays mapped and unchanged while the process lives.
//! - A `PT_NOTE` segment of the executable lies in one of its loaded segments, at its address plus
//!   the load bias; a segment that is marked readable stays readable.
//!
//! Source: `getauxval(3)`, `elf(5)`.
#![allow(unsafe_code)]

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

use crate::sys::hash::fnv1a;

#[cfg(target_pointer_width = "64")]
type Header = libc::Elf64_Phdr;
#[cfg(target_pointer_width = "32")]
type Header = libc::Elf32_Phdr;

/// Where the file header says at which offset the program headers are.
const HEADERS_AT: u64 = if cfg!(target_pointer_width = "64") { 32 } else { 28 };
const NT_GNU_BUILD_ID: u32 = 3;

/// The executable as loaded.
pub(crate) struct Executable {
    headers: &'static [Header],
    /// What is added to an address in the file to get the one in memory.
    bias: usize,
    /// Where its code lies in memory.
    code: Vec<Range<usize>>,
    /// Which build of the program this is.
    pub(crate) build: String,
}

/// The program's executable.
pub(crate) fn this() -> &'static Executable {
    static THIS: OnceLock<Executable> = OnceLock::new();
    THIS.get_or_init(Executable::find)
}

/// Which copy of this library this is: the version, the build of the program, and the library's
/// place in it. Two copies in one program (of two versions, say) differ, so neither takes the
/// other's children for its own.
pub(crate) fn identity() -> &'static str {
    static IDENTITY: OnceLock<String> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        static PLACE: u8 = 0;
        let place = this().distance_of((&raw const PLACE).addr()).unwrap_or(0);
        format!("{}/{}/{place:x}", this().build, env!("CARGO_PKG_VERSION"))
    })
}

/// Whether the process gained rights when it was executed: by set-user-ID, set-group-ID, or
/// capabilities of the file. Its environment and its descriptors come from one with fewer rights.
pub(crate) fn gained_rights() -> bool {
    // SAFETY: has no precondition.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

impl Executable {
    fn find() -> Executable {
        // SAFETY: has no precondition.
        let (headers, count) =
            unsafe { (libc::getauxval(libc::AT_PHDR), libc::getauxval(libc::AT_PHNUM)) };
        let address = headers as usize;
        let headers: &'static [Header] = if address == 0 {
            &[]
        } else {
            // SAFETY: the module's first invariant.
            unsafe { std::slice::from_raw_parts(address as *const Header, count as usize) }
        };
        let bias = bias(headers, address);
        let code = headers
            .iter()
            .filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_X != 0)
            .map(|header| place(bias, header))
            .collect();
        let mut executable = Executable { headers, bias, code, build: String::new() };
        executable.build = executable.build_id().unwrap_or_else(|| executable.sample());
        executable
    }

    /// How far the address of a piece of the executable's code is from its beginning; `None` if it
    /// is somewhere else.
    pub(crate) fn distance_of_code(&self, address: usize) -> Option<usize> {
        let is_code = self.code.iter().any(|code| code.contains(&address));
        is_code.then(|| address.wrapping_sub(self.bias))
    }

    /// The address of the code at this distance; `None` if there is no code of the executable.
    pub(crate) fn code_at(&self, distance: usize) -> Option<usize> {
        let address = self.bias.wrapping_add(distance);
        self.code.iter().any(|code| code.contains(&address)).then_some(address)
    }

    /// The same for anything that is loaded from the executable.
    fn distance_of(&self, address: usize) -> Option<usize> {
        let mut loaded = self.headers.iter().filter(|header| header.p_type == libc::PT_LOAD);
        let is_inside = loaded.any(|header| place(self.bias, header).contains(&address));
        is_inside.then(|| address.wrapping_sub(self.bias))
    }

    /// The build id that the linker wrote, if it did.
    fn build_id(&self) -> Option<String> {
        let notes = self.headers.iter().filter(|header| header.p_type == libc::PT_NOTE);
        notes.filter(|header| self.distance_of(place(self.bias, header).start).is_some()).find_map(
            |header| {
                let place = place(self.bias, header);
                // SAFETY: the module's second invariant.
                let bytes =
                    unsafe { std::slice::from_raw_parts(place.start as *const u8, place.len()) };
                build_id_in(bytes, header.p_align as usize)
            },
        )
    }

    /// Without a build id: a hash of the program headers and of a few bytes of every 16 KiB of the
    /// code. A build whose code is laid out otherwise, so that a function is found elsewhere,
    /// differs there.
    fn sample(&self) -> String {
        const STEP: usize = 16 << 10;
        let readable = |header: &&Header| {
            let wanted = libc::PF_R | libc::PF_X;
            header.p_type == libc::PT_LOAD && header.p_flags & wanted == wanted
        };
        let code = self.headers.iter().filter(readable).map(|header| {
            let place = place(self.bias, header);
            // SAFETY: a loaded segment that is marked readable.
            unsafe { std::slice::from_raw_parts(place.start as *const u8, place.len()) }
        });
        let samples =
            code.flat_map(|code| code.chunks(STEP)).flat_map(|piece| piece.iter().take(16));
        // SAFETY: the headers are plain numbers, so their bytes are initialized.
        let headers = unsafe {
            std::slice::from_raw_parts(
                self.headers.as_ptr().cast::<u8>(),
                size_of_val(self.headers),
            )
        };
        format!("sample-{:016x}", fnv1a(headers.iter().chain(samples)))
    }

    /// Whether `/proc/self/exe` is this program: `None` if that cannot be read.
    ///
    /// It is the dynamic loader when that was executed with this program as its argument, and the
    /// emulator or the tool when one runs this program.
    pub(crate) fn is_proc_self_exe(&self) -> Option<bool> {
        let file = File::open("/proc/self/exe").ok()?;
        let mut at = [0; size_of::<usize>()];
        file.read_exact_at(&mut at, HEADERS_AT).ok()?;
        let mut headers = vec![0; size_of_val(self.headers)];
        // A file that is too short is another one.
        let is_read = file.read_exact_at(&mut headers, usize::from_ne_bytes(at) as u64).is_ok();
        // SAFETY: the headers are plain numbers, so their bytes are initialized.
        let ours = unsafe {
            std::slice::from_raw_parts(self.headers.as_ptr().cast::<u8>(), headers.len())
        };
        Some(is_read && headers == ours)
    }
}

/// The load bias, from where the program headers are and where the file has them.
fn bias(headers: &[Header], address: usize) -> usize {
    let own = headers.iter().find(|header| header.p_type == libc::PT_PHDR);
    if let Some(own) = own {
        return address.wrapping_sub(own.p_vaddr as usize);
    }
    // Without an entry for themselves (a static executable) they follow the file's header, in the
    // segment that begins with it.
    let first = headers
        .iter()
        .find(|header| header.p_type == libc::PT_LOAD && header.p_offset == 0)
        .map_or(0, |header| header.p_vaddr as usize);
    let header_size = if cfg!(target_pointer_width = "64") { 64 } else { 52 };
    address.wrapping_sub(first).wrapping_sub(header_size)
}

fn place(bias: usize, header: &Header) -> Range<usize> {
    let start = bias.wrapping_add(header.p_vaddr as usize);
    start..start.saturating_add(header.p_memsz as usize)
}

/// The build id in a segment of notes.
fn build_id_in(mut notes: &[u8], align: usize) -> Option<String> {
    let align = if align == 8 { 8 } else { 4 };
    loop {
        let (lengths, rest) = notes.split_first_chunk::<12>()?;
        let number = |at: usize| {
            u32::from_ne_bytes([lengths[at], lengths[at + 1], lengths[at + 2], lengths[at + 3]])
        };
        let (name_len, len, kind) = (number(0) as usize, number(4) as usize, number(8));
        let value_at = (12 + name_len).next_multiple_of(align) - 12;
        let value = rest.get(value_at..value_at.checked_add(len)?)?;
        if kind == NT_GNU_BUILD_ID && rest.get(..name_len)? == b"GNU\0" {
            return Some(value.iter().map(|byte| format!("{byte:02x}")).collect());
        }
        notes = rest.get((12 + value_at + len).next_multiple_of(align) - 12..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_own_code_is_told_from_that_of_libraries() {
        let own = the_programs_own_code_is_told_from_that_of_libraries as fn() as usize;
        let distance = this().distance_of_code(own).expect("in the executable");
        assert_eq!(this().code_at(distance), Some(own));
        let foreign = libc::getpid as *const () as usize;
        let resolved = {
            // SAFETY: looks a name up; the library stays loaded.
            unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"getpid".as_ptr()) }.addr()
        };
        assert_eq!(this().distance_of_code(resolved), None, "{foreign:x} is in the C library");
        static DATA: u8 = 1;
        assert_eq!(this().distance_of_code((&raw const DATA).addr()), None, "data is not code");
        assert_eq!(this().code_at(usize::MAX / 2), None);
    }

    #[test]
    fn this_program_can_be_started_again() {
        assert_eq!(this().is_proc_self_exe(), Some(true));
    }

    #[test]
    fn without_a_build_id_the_code_is_sampled() {
        assert_eq!(this().sample(), this().sample());
        let mut cut = Executable {
            headers: this().headers,
            bias: this().bias,
            code: Vec::new(),
            build: String::new(),
        };
        cut.headers = &cut.headers[1..];
        assert_ne!(cut.sample(), this().sample());
    }

    #[test]
    fn a_build_id_is_found_among_notes() {
        let note = |name: &[u8], kind: u32, value: &[u8]| {
            let mut note = Vec::new();
            note.extend((name.len() as u32).to_ne_bytes());
            note.extend((value.len() as u32).to_ne_bytes());
            note.extend(kind.to_ne_bytes());
            for part in [name, value] {
                note.extend(part);
                note.resize(note.len().next_multiple_of(4), 0);
            }
            note
        };
        let mut notes = note(b"GNU\0", 1, &[0; 16]);
        notes.extend(note(b"other\0", 3, &[1, 2, 3]));
        notes.extend(note(b"GNU\0", 3, &[0xab, 0x01, 0x99]));
        assert_eq!(build_id_in(&notes, 4).as_deref(), Some("ab0199"));
        for len in 0..notes.len() - 1 {
            assert_eq!(build_id_in(&notes[..len], 4), None, "cut off after {len} bytes");
        }
    }
}
