//! Keeps the beginning and the end of an output of any length.

use std::collections::VecDeque;

/// Bytes of one output, bounded by a limit.
pub(super) struct Capture {
    head: Vec<u8>,
    head_limit: usize,
    tail: VecDeque<u8>,
    tail_limit: usize,
    total: u64,
}

impl Capture {
    pub(super) fn new(limit: usize) -> Self {
        let head_limit = limit / 2;
        Self {
            head: Vec::new(),
            head_limit,
            tail: VecDeque::new(),
            tail_limit: limit - head_limit,
            total: 0,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let room = self.head_limit - self.head.len();
        let (head, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(head);
        let kept = &rest[rest.len().saturating_sub(self.tail_limit)..];
        let overflow = (self.tail.len() + kept.len()).saturating_sub(self.tail_limit);
        self.tail.drain(..overflow);
        self.tail.extend(kept);
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// What was kept, with a line in the place of what was not.
    pub(super) fn finish(self) -> Vec<u8> {
        let mut output = self.head;
        let left_out = self.total - (output.len() + self.tail.len()) as u64;
        if left_out > 0 {
            output.extend_from_slice(format!("\n[{left_out} bytes left out]\n").as_bytes());
        }
        output.extend(self.tail);
        output
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn short_output_is_kept_whole() {
        let mut capture = Capture::new(10);
        capture.push(b"hello");
        capture.push(b"world");
        assert_eq!(capture.finish(), b"helloworld");
    }

    #[test]
    fn the_middle_of_long_output_is_left_out() {
        let mut capture = Capture::new(4);
        capture.push(b"abcdefgh");
        assert_eq!(capture.total(), 8);
        assert_eq!(capture.finish(), b"ab\n[4 bytes left out]\ngh");
    }

    proptest! {
        #[test]
        fn keeps_both_ends_however_it_arrives(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..20),
            limit in 0usize..64,
        ) {
            let mut capture = Capture::new(limit);
            for chunk in &chunks {
                capture.push(chunk);
            }
            let all = chunks.concat();
            prop_assert_eq!(capture.total(), all.len() as u64);
            let output = capture.finish();
            if all.len() <= limit {
                prop_assert_eq!(output, all);
            } else {
                prop_assert!(output.starts_with(&all[..limit / 2]));
                prop_assert!(output.ends_with(&all[all.len() - (limit - limit / 2)..]));
                prop_assert!(output.len() <= limit + 48);
            }
        }
    }
}
