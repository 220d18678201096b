//! The models there are, as each provider lists and describes them.

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Tokens that a prompt, and an answer, are said to hold.
const CONTEXT_TOKENS: u32 = 1_048_576;
const OUTPUT_TOKENS: u32 = 65_536;
/// The version of Ollama whose answers are given.
const OLLAMA_VERSION: &str = "0.13.0";
/// What Ollama appends to a name without a tag.
const LATEST: &str = ":latest";

/// Whose words a list of models is asked for in: they share the path `/v1/models`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Provider {
    OpenAi,
    Anthropic,
    Gemini,
}

/// The models of a server.
#[derive(Debug)]
pub(super) struct Catalogue<'a> {
    pub(super) names: Vec<&'a str>,
    /// Since when they are there.
    pub(super) since: OffsetDateTime,
}

impl Provider {
    /// A path whose dialect is the provider's.
    pub(super) fn home(self) -> &'static str {
        match self {
            Provider::OpenAi => "/v1/responses",
            Provider::Anthropic => "/v1/messages",
            Provider::Gemini => "/v1beta/models",
        }
    }
}

impl Catalogue<'_> {
    /// All of them.
    pub(super) fn list(&self, provider: Provider) -> Value {
        let models: Vec<Value> = self
            .names
            .iter()
            .map(|name| self.model(provider, name))
            .collect();
        match provider {
            Provider::OpenAi => json!({ "object": "list", "data": models }),
            Provider::Anthropic => json!({
                "data": models,
                "has_more": false,
                "first_id": self.names.first(),
                "last_id": self.names.last(),
            }),
            Provider::Gemini => json!({ "models": models }),
        }
    }

    /// One of them.
    pub(super) fn model(&self, provider: Provider, name: &str) -> Value {
        match provider {
            Provider::OpenAi => json!({
                "id": name,
                "object": "model",
                "created": self.since.unix_timestamp(),
                "owned_by": "timeslip",
            }),
            Provider::Anthropic => json!({
                "type": "model",
                "id": name,
                "display_name": name,
                "created_at": self.date(),
            }),
            Provider::Gemini => json!({
                "name": format!("models/{name}"),
                "baseModelId": name,
                "version": "1",
                "displayName": name,
                "description": "A simulated model.",
                "inputTokenLimit": CONTEXT_TOKENS,
                "outputTokenLimit": OUTPUT_TOKENS,
                "supportedGenerationMethods":
                    ["generateContent", "streamGenerateContent", "countTokens"],
                "temperature": 1.0,
                "maxTemperature": 2.0,
                "topP": 0.95,
                "topK": 64,
            }),
        }
    }

    /// All of them, as Ollama lists what it has on its disk.
    pub(super) fn tags(&self) -> Value {
        let models = self.names.iter().map(|name| self.tag(name));
        json!({ "models": models.collect::<Vec<_>>() })
    }

    /// All of them, as Ollama lists what it has in memory.
    pub(super) fn loaded(&self) -> Value {
        let models = self.names.iter().map(|name| {
            let mut tag = self.tag(name);
            tag["expires_at"] = json!(self.date());
            tag["size_vram"] = json!(0);
            tag["context_length"] = json!(CONTEXT_TOKENS);
            tag
        });
        json!({ "models": models.collect::<Vec<_>>() })
    }

    /// One of them, as Ollama describes it.
    pub(super) fn show(&self) -> Value {
        json!({
            "license": "",
            "modelfile": "",
            "parameters": "",
            "template": "{{ .Prompt }}",
            "details": details(),
            "model_info": {
                "general.architecture": "simulated",
                "general.parameter_count": 0,
                "simulated.context_length": CONTEXT_TOKENS,
            },
            "capabilities": ["completion", "tools", "thinking"],
            "modified_at": self.date(),
        })
    }

    fn tag(&self, name: &str) -> Value {
        let name = if name.contains(':') {
            name.to_owned()
        } else {
            format!("{name}{LATEST}")
        };
        json!({
            "name": name,
            "model": name,
            "modified_at": self.date(),
            "size": 0,
            // Clients take names with one digest for one model.
            "digest": HEXLOWER.encode(&Sha256::digest(&name)),
            "details": details(),
        })
    }

    fn date(&self) -> String {
        // A year beyond four digits is the only thing that cannot be written.
        self.since.format(&Rfc3339).unwrap_or_default()
    }
}

/// The name of a model without the tag that stands for none.
pub(super) fn untagged(name: &str) -> &str {
    name.strip_suffix(LATEST).unwrap_or(name)
}

/// Ollama's version.
pub(super) fn version() -> Value {
    json!({ "version": OLLAMA_VERSION })
}

fn details() -> Value {
    json!({
        "parent_model": "",
        "format": "simulated",
        "family": "simulated",
        "families": ["simulated"],
        "parameter_size": "0B",
        "quantization_level": "none",
    })
}
