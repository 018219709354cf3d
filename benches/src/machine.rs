//! Where it was measured.

use serde::{Deserialize, Serialize};
use std::{fs, process::Command, thread};

/// This machine, as the kernel and the tools describe it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// That a program may use at the same time.
    pub processors: usize,
    /// What the processor calls itself.
    pub model: String,
    /// Whether there is a hypervisor below, so that others may be on the same processors.
    pub is_virtual: bool,
    /// Of memory.
    pub gibibytes: u64,
    /// `Linux 6.18.44`.
    pub kernel: String,
    /// `rustc 1.95.0`.
    pub compiler: String,
    /// `CPython 3.11.7`, or that there is none.
    pub python: String,
    /// What sets the processors' frequency, if the system says so.
    pub governor: Option<String>,
}

impl Machine {
    /// The one this program runs on.
    pub fn here() -> Machine {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpu = read("/proc/cpuinfo");
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let kibibytes = field(&read("/proc/meminfo"), "MemTotal")
            .and_then(|is| is.strip_suffix(" kB")?.trim().parse::<u64>().ok());
        let governor = read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
        Machine {
            processors: thread::available_parallelism().map_or(1, usize::from),
            model: field(&cpu, "model name").unwrap_or_else(|| std::env::consts::ARCH.into()),
            is_virtual: field(&cpu, "flags")
                .is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
            gibibytes: (kibibytes.unwrap_or_default() + (1 << 19)) >> 20,
            kernel: format!("Linux {}", version(&read("/proc/sys/kernel/osrelease"))),
            compiler: first_words(&said("rustc", &["--version"]).unwrap_or("rustc".into())),
            python: said("python3", &["--version"]).unwrap_or_else(|| crate::python::ABSENT.into()),
            governor: (!governor.trim().is_empty()).then(|| governor.trim().to_owned()),
        }
    }
}

/// The numbers a kernel's release begins with.
fn version(release: &str) -> &str {
    let release = release.trim();
    release.find(|c: char| c != '.' && !c.is_ascii_digit()).map_or(release, |end| &release[..end])
}

fn first_words(line: &str) -> String {
    line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_a_processor_and_a_kernel() {
        let here = Machine::here();
        assert!(here.processors >= 1 && here.gibibytes >= 1 && !here.model.is_empty(), "{here:?}");
        assert!(here.kernel.starts_with("Linux ") && here.compiler.starts_with("rustc "));
    }

    #[test]
    fn a_release_is_cut_after_its_numbers() {
        assert_eq!(version("6.18.44-somebody-17\n"), "6.18.44");
        assert_eq!(version("6.1.0"), "6.1.0");
    }
}
