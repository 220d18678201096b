//! A ring of the headers of packets that arrive from chosen TCP ports, each with the time
//! at which the kernel received it (`AF_PACKET` with `TPACKET_V2`).
//!
//! The kernel hands a packet to the ring before it hands it to TCP: what can be read from
//! a connection is in the ring already.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes of a frame: its own header and the longest headers of IP and TCP.
const FRAME_BYTES: usize = 256;
/// Bytes of a block, which the kernel allocates in one piece.
const BLOCK_BYTES: usize = 64 << 10;
/// Blocks of a ring: 65,536 packets.
const BLOCKS: usize = 256;
const RING_BYTES: usize = BLOCKS * BLOCK_BYTES;
const FRAMES: usize = RING_BYTES / FRAME_BYTES;
/// Bytes of a packet that are kept: headers, and next to nothing of what is said.
const KEPT_BYTES: u32 = 128;
/// Most ports: a jump of a filter reaches 255 instructions.
const MAX_PORTS: usize = 64;

/// A packet of the ring.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Its first bytes, from its IP header on.
    pub head: &'a [u8],
    /// Its length in bytes, from its IP header on.
    pub length: u32,
    /// When the kernel received it, in nanoseconds of the wall clock.
    pub at: u64,
}

/// The ring. It belongs to one thread.
#[derive(Debug)]
pub struct PacketRing {
    socket: OwnedFd,
    area: NonNull<u8>,
    next: usize,
}

impl PacketRing {
    /// Opens a ring that lets nothing in yet.
    ///
    /// # Errors
    /// The system's: for want of permission (`CAP_NET_RAW`) or of memory.
    pub fn open() -> io::Result<Self> {
        // SAFETY: a system call without pointers. Protocol 0 receives nothing.
        let socket = unsafe {
            libc::socket(
                libc::AF_PACKET,
                libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
                0,
            )
        };
        if socket < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and nobody else's.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        let option = |name, value: &libc::c_int| set(&socket, libc::SOL_PACKET, name, value);
        option(
            libc::PACKET_VERSION,
            &(libc::tpacket_versions::TPACKET_V2 as libc::c_int),
        )?;
        // On loopback every packet would come twice.
        option(libc::PACKET_IGNORE_OUTGOING, &1)?;
        let size = libc::tpacket_req {
            tp_block_size: BLOCK_BYTES as libc::c_uint,
            tp_block_nr: BLOCKS as libc::c_uint,
            tp_frame_size: FRAME_BYTES as libc::c_uint,
            tp_frame_nr: FRAMES as libc::c_uint,
        };
        set(&socket, libc::SOL_PACKET, libc::PACKET_RX_RING, &size)?;
        // SAFETY: a new mapping of the length that the ring was given, at a place that the
        // kernel chooses.
        let area = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                RING_BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                socket.as_raw_fd(),
                0,
            )
        };
        if area == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let area = NonNull::new(area.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let ring = PacketRing {
            socket,
            area,
            next: 0,
        };
        ring.let_in(&[])?;
        ring.bind()?;
        Ok(ring)
    }

    /// From now on packets of all protocols and interfaces come, as far as the filter lets
    /// them in.
    fn bind(&self) -> io::Result<()> {
        // SAFETY: all-zero is a valid `sockaddr_ll`.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as libc::c_ushort;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        // SAFETY: the address is a struct of ours, and its length is given.
        let status = unsafe {
            libc::bind(
                self.socket.as_raw_fd(),
                (&raw const address).cast(),
                size_of::<libc::sockaddr_ll>() as libc::socklen_t,
            )
        };
        succeeded(status)
    }

    /// Lets in what comes from these TCP ports, instead of those before.
    ///
    /// # Errors
    /// When there are too many ports, and whatever the system says; then it stays as it was.
    pub fn let_in(&self, ports: &[u16]) -> io::Result<()> {
        let mut filter = filter(ports)?;
        let program = libc::sock_fprog {
            len: filter.len() as libc::c_ushort,
            filter: filter.as_mut_ptr(),
        };
        set(
            &self.socket,
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            &program,
        )
    }

    /// Hands over what has come since, in its order.
    pub fn drain(&mut self, mut take: impl FnMut(Packet<'_>)) {
        loop {
            // SAFETY: `next` is below `FRAMES`, so the frame lies whole in the mapping.
            let frame = unsafe { self.area.add(self.next * FRAME_BYTES) };
            // SAFETY: a frame begins with its status, which the kernel changes atomically;
            // frames are aligned for their header.
            let status = unsafe { AtomicU32::from_ptr(frame.cast().as_ptr()) };
            if status.load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
                return;
            }
            // SAFETY: a frame that is the user's is not written by the kernel until its
            // status is given back, which happens below, after the last use of `bytes`.
            let bytes = unsafe { std::slice::from_raw_parts(frame.as_ptr(), FRAME_BYTES) };
            if let Some(packet) = packet(bytes) {
                take(packet);
            }
            status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
            self.next = (self.next + 1) % FRAMES;
        }
    }
}

impl Drop for PacketRing {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, of this length, and used by nobody after this.
        unsafe { libc::munmap(self.area.as_ptr().cast(), RING_BYTES) };
    }
}

/// Reads a frame of the ring.
fn packet(frame: &[u8]) -> Option<Packet<'_>> {
    const LENGTH: usize = std::mem::offset_of!(libc::tpacket2_hdr, tp_len);
    const KEPT: usize = std::mem::offset_of!(libc::tpacket2_hdr, tp_snaplen);
    const PLACE: usize = std::mem::offset_of!(libc::tpacket2_hdr, tp_net);
    const SECONDS: usize = std::mem::offset_of!(libc::tpacket2_hdr, tp_sec);
    const NANOSECONDS: usize = std::mem::offset_of!(libc::tpacket2_hdr, tp_nsec);
    let word = |at: usize| Some(u32::from_ne_bytes(frame.get(at..at + 4)?.try_into().ok()?));
    let place: [u8; 2] = frame.get(PLACE..PLACE + 2)?.try_into().ok()?;
    let place = usize::from(u16::from_ne_bytes(place));
    let end = place.checked_add(word(KEPT)? as usize)?;
    let at = u64::from(word(SECONDS)?)
        .checked_mul(1_000_000_000)?
        .checked_add(word(NANOSECONDS)?.into())?;
    Some(Packet {
        head: frame.get(place..end.min(FRAME_BYTES))?,
        length: word(LENGTH)?,
        at,
    })
}

/// Sets an option of a socket.
fn set<T>(socket: &OwnedFd, level: libc::c_int, name: libc::c_int, value: &T) -> io::Result<()> {
    // SAFETY: the descriptor is open, and the value is alive and of the size given; a
    // filter's instructions, to which its value points, are alive in the caller.
    let status = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const *value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    succeeded(status)
}

fn succeeded(status: libc::c_int) -> io::Result<()> {
    match status {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A program for the kernel's packet filter that keeps the heads of TCP packets, IPv4 or
/// IPv6, which come from one of these ports.
fn filter(ports: &[u16]) -> io::Result<Vec<libc::sock_filter>> {
    if ports.len() > MAX_PORTS {
        return Err(io::Error::other("too many ports for one packet filter"));
    }
    let step = |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let load = |code, k| step(libc::BPF_LD | code, k, 0, 0);
    let jump = |code, k, jt, jf| step(libc::BPF_JMP | code, k, jt, jf);
    let equal = libc::BPF_JEQ;
    let byte = libc::BPF_B | libc::BPF_ABS;
    let half = libc::BPF_H | libc::BPF_ABS;
    let tcp = libc::IPPROTO_TCP as u32;
    // Jumps count the instructions after the one that jumps.
    let end = ports.len() as u8;
    let mut program = vec![
        // IPv4?
        load(byte, 0),
        step(libc::BPF_ALU | libc::BPF_AND, 0xf0, 0, 0),
        jump(equal, 0x40, 0, 7),
        load(byte, 9),
        jump(equal, tcp, 0, end + 9),
        // The first fragment, or whole.
        load(half, 6),
        jump(libc::BPF_JSET, 0x1fff, end + 7, 0),
        step(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH, 0, 0, 0),
        load(libc::BPF_H | libc::BPF_IND, 0),
        jump(libc::BPF_JA, 4, 0, 0),
        // IPv6?
        jump(equal, 0x60, 0, end + 3),
        load(byte, 6),
        jump(equal, tcp, 0, end + 1),
        load(half, 40),
    ];
    let kept = (1..=end).rev().zip(ports);
    program.extend(kept.map(|(to, port)| jump(equal, u32::from(*port), to, 0)));
    program.push(step(libc::BPF_RET, 0, 0, 0));
    program.push(step(libc::BPF_RET, KEPT_BYTES, 0, 0));
    Ok(program)
}
