//! Reads lines `{"parser": …, "instance_id": …, "log": …}` and writes, for each, what
//! the parser finds: `{"name": "Passed"}`. For comparing the parsers with others.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, BufRead, Write};

use timeslip_suites::log_parsers;

fn main() -> Result<(), Box<dyn Error>> {
    let mut output = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let request: BTreeMap<String, String> = serde_json::from_str(&line?)?;
        let field = |name: &str| request.get(name).map(String::as_str).ok_or("lacks a field");
        let parse = log_parsers::find(field("parser")?, field("instance_id")?)?;
        let found: BTreeMap<String, String> = parse(field("log")?)
            .into_iter()
            .map(|(name, status)| (name, format!("{status:?}")))
            .collect();
        writeln!(output, "{}", serde_json::to_string(&found)?)?;
    }
    Ok(())
}
