//! What a suite is: task selection, sandboxes and graders.
