//! File access that cannot leave a directory.
