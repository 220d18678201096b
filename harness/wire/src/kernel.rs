//! Where the kernel's interface has no safe wrapper: all the unsafe code there is.
#![allow(unsafe_code)]

#[cfg(target_os = "linux")]
pub mod packet_ring;

use std::os::fd::BorrowedFd;
use std::process::Command;

use timeslip_datasets::run::journal::TcpSample;
use tokio::io::ReadBuf;

/// Has the process of a command be told to end (SIGTERM) when the thread that starts it ends,
/// however that comes about.
#[cfg(target_os = "linux")]
pub fn end_with_starter(command: &mut Command) {
    use std::os::unix::process::CommandExt;

    use rustix::process::{Signal, set_parent_process_death_signal};

    // SAFETY: between fork and exec there is one system call, which allocates nothing and takes
    // no lock.
    unsafe {
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::TERM))?));
    }
}

/// Has the process of a command end with whoever starts it: this platform cannot.
#[cfg(not(target_os = "linux"))]
pub fn end_with_starter(_command: &mut Command) {}

/// `TCP_INFO`, what the kernel knows of a connection's round trip, or `None` where
/// the platform has none. No maintained safe wrapper exposes `tcpi_min_rtt`.
#[cfg(target_os = "linux")]
#[must_use]
pub fn tcp_info(socket: BorrowedFd<'_>) -> Option<TcpSample> {
    use std::os::fd::AsRawFd;

    // Offsets of `struct tcp_info` in include/uapi/linux/tcp.h, fixed by the kernel's ABI.
    const RTT: usize = 68;
    const TOTAL_RETRANS: usize = 100;
    const SEGS_OUT: usize = 136;
    const SEGS_IN: usize = 140;
    const MIN_RTT: usize = 148;
    const DATA_SEGS_IN: usize = 152;

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
        segments_in: field(SEGS_IN)?,
        // Younger than the fields before it.
        data_segments_in: field(DATA_SEGS_IN).unwrap_or_default(),
        segments_out: field(SEGS_OUT)?,
    })
}

/// `TCP_INFO`: this platform has none.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn tcp_info(_socket: BorrowedFd<'_>) -> Option<TcpSample> {
    None
}

/// What one read brought.
#[derive(Clone, Copy, Debug)]
pub struct ReceivedBytes {
    /// Bytes read.
    pub length: usize,
    /// When the kernel received the last of them, in nanoseconds of the wall clock.
    pub stamp: Option<u64>,
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn nanoseconds(seconds: i64, nanoseconds: i64) -> Option<u64> {
    u64::try_from(seconds)
        .ok()?
        .checked_mul(1_000_000_000)?
        .checked_add(u64::try_from(nanoseconds).ok()?)
}

/// Asks the kernel to stamp what this socket receives, in software. False where it
/// will not.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
#[must_use]
pub fn enable_receive_stamps(socket: BorrowedFd<'_>) -> bool {
    use std::os::fd::AsRawFd;

    let flags: libc::c_uint = libc::SOF_TIMESTAMPING_RX_SOFTWARE | libc::SOF_TIMESTAMPING_SOFTWARE;
    // SAFETY: the descriptor is open for the borrow's lifetime, and the option's value
    // is an integer of the size given.
    let status = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPING,
            (&raw const flags).cast(),
            size_of::<libc::c_uint>() as libc::socklen_t,
        )
    };
    status == 0
}

/// Asks the kernel to stamp what this socket receives: this platform does not.
#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
#[must_use]
pub fn enable_receive_stamps(_socket: BorrowedFd<'_>) -> bool {
    false
}

/// Reads from a socket that does not block, together with the kernel's stamp. No
/// safe wrapper hands out `SCM_TIMESTAMPING` without allocating, or without zeroing the
/// buffer, on every read.
///
/// # Errors
/// Whatever the system says, `WouldBlock` when there is nothing.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
pub fn receive(socket: BorrowedFd<'_>, into: &mut ReadBuf<'_>) -> std::io::Result<ReceivedBytes> {
    use std::os::fd::AsRawFd;

    /// Room for the three stamps of `struct scm_timestamping` with its header, aligned
    /// as the kernel's `struct cmsghdr` is.
    #[repr(C, align(8))]
    struct Control([u8; 128]);

    let mut control = Control([0; 128]);
    // SAFETY: nothing is read from what is not initialized, and nothing that is gets
    // uninitialized: the kernel only writes.
    let room = unsafe { into.unfilled_mut() };
    let mut part = libc::iovec {
        iov_base: room.as_mut_ptr().cast(),
        iov_len: room.len(),
    };
    // SAFETY: all-zero is a valid `msghdr`: null pointers with lengths of zero.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len();
    // SAFETY: the descriptor is open for the borrow's lifetime; `message` points to one
    // buffer that is ours to write and to a control buffer, each with its true length,
    // and all of them outlive the call.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) };
    let Ok(length) = usize::try_from(length) else {
        return Err(std::io::Error::last_os_error());
    };
    // SAFETY: the kernel says that it wrote so many bytes to the beginning of the room.
    unsafe { into.assume_init(length) };
    into.advance(length);
    let mut stamp = None;
    // SAFETY: the kernel has filled `message`, whose control buffer is alive; these
    // macros walk it within the length the kernel left in `msg_controllen`.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    while !header.is_null() {
        // SAFETY: a non-null header lies whole inside the control buffer, aligned.
        let (level, kind) = unsafe { ((*header).cmsg_level, (*header).cmsg_type) };
        if level == libc::SOL_SOCKET && kind == libc::SCM_TIMESTAMPING {
            // SAFETY: a control message of this kind carries three `timespec`s, the
            // first of them the software stamp; reading does not ask for alignment.
            let at: libc::timespec =
                unsafe { std::ptr::read_unaligned(libc::CMSG_DATA(header).cast()) };
            stamp = nanoseconds(at.tv_sec, at.tv_nsec).filter(|at| *at > 0);
        }
        // SAFETY: as above; the next header is inside the buffer or null.
        header = unsafe { libc::CMSG_NXTHDR(&raw const message, header) };
    }
    Ok(ReceivedBytes { length, stamp })
}

/// Reads with the kernel's stamp: this platform has none, and is never asked to.
///
/// # Errors
/// Always.
#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
pub fn receive(_socket: BorrowedFd<'_>, _into: &mut ReadBuf<'_>) -> std::io::Result<ReceivedBytes> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// Puts this thread into the real-time class, at its lowest priority; what it starts is
/// not in it. False where that is not permitted.
#[cfg(target_os = "linux")]
#[must_use]
pub fn become_real_time() -> bool {
    let parameters = libc::sched_param { sched_priority: 1 };
    // SAFETY: 0 is the calling thread, and the parameters are a struct of ours that the
    // kernel only reads.
    let status = unsafe {
        libc::sched_setscheduler(
            0,
            libc::SCHED_RR | libc::SCHED_RESET_ON_FORK,
            &raw const parameters,
        )
    };
    status == 0
}

/// Puts this thread into the real-time class: this platform has none.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn become_real_time() -> bool {
    false
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
