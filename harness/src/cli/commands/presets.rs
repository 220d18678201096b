//! `timeslip presets`: the ready-made endpoints.

use std::fmt::Write;

use timeslip_datasets::run::plan::Price;

use crate::error::Error;
use crate::run::config::{self, EndpointTable};

/// List the ready-made endpoints
#[derive(Debug, clap::Parser)]
pub(super) struct Arguments {}

pub(super) fn run(_: &Arguments) -> Result<u8, Error> {
    let presets = config::presets()?;
    let mut text = String::from(
        "name            speaks                        model                 key                  US$ per million tokens\n",
    );
    for (name, preset) in &presets {
        let _ = writeln!(text, "{}", line(name, preset).trim_end());
    }
    text.push_str(
        "\nUse one with `timeslip run --endpoint NAME`, or NAME:MODEL for another model; in a\n\
         file, write `preset = \"NAME\"` in a table of your own and change what you like.\n",
    );
    super::print(&text)
}

fn line(name: &str, preset: &EndpointTable) -> String {
    let or = |text: &Option<String>, none: &str| text.clone().unwrap_or_else(|| none.to_owned());
    let speaks = format!("{} {}", or(&preset.protocol, ""), or(&preset.transport, ""));
    let model = or(&preset.model, "(name one)");
    let key = or(&preset.api_key_env, "(none)");
    let price = preset
        .price
        .as_ref()
        .map_or_else(|| "unknown".into(), price);
    format!("{name:<16}{speaks:<30}{model:<22}{key:<21}{price}")
}

fn price(price: &Price) -> String {
    let cached = price
        .cached_input
        .map_or_else(String::new, |cached| format!("{cached} cached, "));
    format!(
        "{} in, {cached}{} out ({})",
        price.input, price.output, price.priced_at
    )
}
