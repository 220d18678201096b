//! Facts about the machine that a reader of a report needs.

/// Name and value of every fact that could be found out.
#[must_use]
pub fn facts() -> Vec<(String, String)> {
    let system = rustix::system::uname();
    let text = |value: &std::ffi::CStr| value.to_string_lossy().into_owned();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let cpu = proc_field("/proc/cpuinfo", "model name");
    let memory = proc_field("/proc/meminfo", "MemTotal");
    [
        (
            "system",
            Some(format!(
                "{} {}",
                text(system.sysname()),
                text(system.release())
            )),
        ),
        ("architecture", Some(text(system.machine()))),
        ("cpu", cpu),
        ("cores", Some(cores.to_string())),
        ("memory", memory),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect()
}

fn proc_field(file: &str, field: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(field))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
