//! Where the kernel's interface has no safe wrapper: all the unsafe code there is.
#![allow(unsafe_code)]

use std::os::fd::BorrowedFd;

use timeslip_datasets::journal::TcpSample;

/// `TCP_INFO`, what the kernel knows of a connection's round trip, or `None` where
/// the platform has none. No maintained safe wrapper exposes `tcpi_min_rtt`.
#[cfg(target_os = "linux")]
#[must_use]
pub fn tcp_info(socket: BorrowedFd<'_>) -> Option<TcpSample> {
    use std::os::fd::AsRawFd;

    // Offsets of `struct tcp_info` in include/uapi/linux/tcp.h, fixed by the kernel's ABI.
    const RTT: usize = 68;
    const TOTAL_RETRANS: usize = 100;
    const MIN_RTT: usize = 148;

    let mut info = [0_u8; 256];
    let mut length: libc::socklen_t = 256;
    // SAFETY: the descriptor is open for the borrow's lifetime; the buffer is ours,
    // 256 bytes long, and the kernel is told so. It says how much it wrote, and what
    // lies past that is treated as absent.
    let status = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if status != 0 {
        return None;
    }
    let written = &info[..(length as usize).min(info.len())];
    let field = |offset: usize| {
        Some(u32::from_ne_bytes(
            written.get(offset..offset + 4)?.try_into().ok()?,
        ))
    };
    Some(TcpSample {
        min_rtt_ns: u64::from(field(MIN_RTT)?) * 1_000,
        rtt_ns: u64::from(field(RTT)?) * 1_000,
        retransmits: field(TOTAL_RETRANS)?,
    })
}

/// `TCP_INFO`: this platform has none.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn tcp_info(_socket: BorrowedFd<'_>) -> Option<TcpSample> {
    None
}

/// Has the runtime watch a timer's descriptor.
///
/// # Errors
/// When the runtime cannot watch it.
#[cfg(target_os = "linux")]
pub fn watch(
    timer: std::os::fd::OwnedFd,
) -> std::io::Result<tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>> {
    // SAFETY: an `OwnedFd` stays open, and stays the same descriptor, until the
    // `AsyncFd` that owns it is dropped.
    Ok(unsafe { tokio::io::unix::AsyncFd::register(timer) }?)
}
