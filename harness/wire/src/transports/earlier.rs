//! What a WebSocket carried before: responses follow each other on it, and what is still
//! said of one is no part of the next.

use std::collections::VecDeque;

use crate::recorder::Recorder;

/// Ids that are remembered; what comes later than so many responses comes from nowhere.
const MAX_IDS: usize = 64;

/// The responses that one conversation had on a connection.
#[derive(Debug, Default)]
pub struct Earlier {
    ids: VecDeque<String>,
    /// Some response did not begin by naming itself.
    nameless: bool,
}

impl Earlier {
    /// Tells the recorder of the next response.
    pub fn tell(&mut self, recorder: &mut Recorder) {
        recorder.follow(self.ids.make_contiguous(), !self.nameless);
    }

    /// A response has ended.
    pub fn answered(&mut self, recorder: &Recorder) {
        self.nameless |= !recorder.is_admitted();
        if let Some(id) = recorder.response_id() {
            self.ids.push_back(id);
        }
        if self.ids.len() > MAX_IDS {
            self.ids.pop_front();
        }
    }
}
