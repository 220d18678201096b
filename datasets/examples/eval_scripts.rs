//! Writes the evaluation script of every row of a file, one JSON object per row.
//! For comparing them with others.

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;

use timeslip_datasets::swebench::{self, Environment};

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(1).ok_or("usage: eval_scripts ROWS")?;
    let mut output = io::stdout().lock();
    for (_, task) in swebench::read_rows(Path::new(&file))? {
        let task = task?;
        let task = task.completed(Environment::Image)?;
        let line = serde_json::json!({
            "instance_id": task.instance_id,
            "eval_script": task.eval_script,
            "log_parser": task.log_parser,
        });
        writeln!(output, "{line}")?;
    }
    Ok(())
}
