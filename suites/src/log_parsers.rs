//! Reads test results out of a log, by the parsers' SWE-bench names.
