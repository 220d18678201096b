//! An endpoint given on the command line instead of in a file.

use clap::builder::PossibleValuesParser;
use timeslip_wire::transports;

use crate::run::config::EndpointTable;

#[derive(Debug, clap::Args)]
pub(super) struct AdHoc {
    /// Measure the server at this base URL, e.g. http://127.0.0.1:8080/v1; needs --model
    #[arg(long, value_name = "URL", requires = "model")]
    base_url: Option<String>,
    /// Ask for this model id at --base-url
    #[arg(long, value_name = "MODEL", requires = "base_url")]
    model: Option<String>,
    /// Speak this wire protocol at --base-url [default: responses]
    #[arg(long, value_name = "PROTOCOL", requires = "base_url")]
    protocol: Option<String>,
    /// Use this transport at --base-url [default: http-sse]
    #[arg(long, value_name = "TRANSPORT", requires = "base_url", value_parser = PossibleValuesParser::new(transports::names()))]
    transport: Option<String>,
    /// Take the key for --base-url from this environment variable
    #[arg(long, value_name = "NAME", requires = "base_url")]
    api_key_env: Option<String>,
    /// Add a top-level field to every request to --base-url, e.g.
    /// max_output_tokens=400; the value is JSON, or text (repeatable)
    #[arg(long, value_name = "FIELD=VALUE", requires = "base_url", value_parser = body_field)]
    body: Vec<(String, serde_json::Value)>,
}

impl AdHoc {
    /// The endpoint, when one was given.
    pub(super) fn table(&self) -> Option<EndpointTable> {
        Some(EndpointTable {
            base_url: Some(self.base_url.clone()?),
            model: self.model.clone(),
            protocol: self.protocol.clone(),
            transport: self.transport.clone(),
            api_key_env: self.api_key_env.clone(),
            body: self.body.iter().cloned().collect(),
            ..EndpointTable::default()
        })
    }
}

fn body_field(text: &str) -> Result<(String, serde_json::Value), String> {
    let (field, value) = text.split_once('=').ok_or("write FIELD=VALUE")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    Ok((field.to_owned(), value))
}
