//! The file of one agent.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use timeslip_datasets::run::plan::PlannedAgent;
use timeslip_wire::protocols;
use timeslip_wire::transports;

use super::BUILT_IN;
use super::sign_in::SignIn;
use super::template::{INSTRUCTION, PLACES, Template, Values};
use crate::control;
use crate::error::Error;

/// How an agent is installed, started and pointed at a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adapter {
    /// What it is called here.
    #[serde(deserialize_with = "plain_name")]
    pub name: String,
    /// What it is, in a few words.
    #[serde(default)]
    pub about: String,
    /// The exact version that is installed.
    #[serde(deserialize_with = "plain_name")]
    pub version: String,
    /// What is installed, once; an agent that lies in `folder` needs nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install: Option<Install>,
    /// The directory that is its layer, in the place of an installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// The command line of one run without a person: program and arguments. Empty for an agent
    /// that can only be driven.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<Template>,
    /// What it reads on its standard input; nothing if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Template>,
    /// The command that prints its version.
    #[serde(default)]
    pub ask_version: Vec<String>,
    /// Arguments of every run, which follow the program's name.
    #[serde(default)]
    pub arguments: Vec<Template>,
    /// Variables of every run: no telemetry, no updates.
    #[serde(default)]
    pub environment: BTreeMap<String, Template>,
    /// Files of every run, by path.
    #[serde(default)]
    pub files: BTreeMap<Template, Template>,
    /// The ways in which it speaks to a server, the one to prefer first.
    #[serde(deserialize_with = "not_empty")]
    pub speaks: Vec<Speaks>,
    /// How it is driven: asked, interrupted and redirected while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<Control>,
    /// How it is recorded with a sign-in of its own; without it, by the variables of the first
    /// way that hold no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_in: Option<SignIn>,
}

/// How an agent is driven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// The control protocol.
    #[serde(deserialize_with = "control_protocol")]
    pub protocol: String,
    /// The command line: program and arguments.
    #[serde(deserialize_with = "not_empty")]
    pub command: Vec<Template>,
    /// The mode of a session in which it asks for no permission, where it has to be chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
}

/// What an agent is installed from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Install {
    /// The registry.
    pub from: Installer,
    /// The package; its version is the agent's.
    pub package: String,
    /// What is installed beside it, each with its version.
    #[serde(default)]
    pub with: Vec<String>,
}

/// A registry of packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Installer {
    /// npmjs.com, by `npm`.
    Npm,
    /// pypi.org, by `pip`.
    Pypi,
}

/// One way in which an agent speaks to a server, and how it is told to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Speaks {
    /// The wire protocol.
    #[serde(deserialize_with = "protocol")]
    pub protocol: String,
    /// The transport.
    #[serde(deserialize_with = "transport", default = "first_transport")]
    pub transport: String,
    /// Further places of the adapter's texts, and what they stand for in this way.
    #[serde(default)]
    pub places: BTreeMap<String, Template>,
    /// Arguments that follow the program's name.
    #[serde(default)]
    pub arguments: Vec<Template>,
    /// Variables.
    #[serde(default)]
    pub environment: BTreeMap<String, Template>,
    /// Files, by path.
    #[serde(default)]
    pub files: BTreeMap<Template, Template>,
}

/// How an agent is started so that it speaks to a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pointing {
    /// Program and arguments of a run without a person.
    pub command: Vec<String>,
    /// What it reads on its standard input.
    pub input: Option<String>,
    /// Variables.
    pub environment: Vec<(String, String)>,
    /// Files: path and content.
    pub files: Vec<(PathBuf, String)>,
    /// Arguments that follow the program's name.
    pub arguments: Vec<String>,
}

impl Pointing {
    /// Writes its files, all of which are below the agent's home directory `inside`, into that
    /// directory as it is called here, `home`.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn write_files(&self, inside: &Path, home: &Path) -> io::Result<()> {
        for (path, content) in &self.files {
            let below = path.strip_prefix(inside).map_err(io::Error::other)?;
            let path = home.join(below);
            fs::create_dir_all(path.parent().unwrap_or(home))?;
            fs::write(path, content)?;
        }
        Ok(())
    }
}

impl Adapter {
    /// What a plan says of it.
    ///
    /// # Errors
    /// [`Error::Config`] when it cannot be written as JSON.
    pub fn planned(&self) -> Result<PlannedAgent, Error> {
        let written = serde_json::to_value(self).and_then(serde_json::from_value);
        Ok(PlannedAgent {
            name: self.name.clone(),
            version: self.version.clone(),
            adapter: written.map_err(|error| Error::Config {
                place: format!("agent '{}'", self.name),
                problem: format!("cannot be planned: {error}"),
            })?,
        })
    }

    /// Reads an adapter's file.
    ///
    /// # Errors
    /// [`Error::Config`] with file, line and field.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let mut adapter: Adapter = toml::from_str(text)
            .map_err(|error| Error::config(path, error.to_string().trim_end().to_owned()))?;
        adapter
            .check(text)
            .map_err(|problem| Error::config(path, problem))?;
        if let Some(folder) = &mut adapter.folder {
            // Like all paths of a file relative to it.
            let beside = path.parent().unwrap_or(Path::new("")).join(&folder);
            *folder = std::fs::canonicalize(&beside).map_err(|error| {
                let problem = format!("`folder` {}: {error}", beside.display());
                Error::config(path, problem)
            })?;
        }
        Ok(adapter)
    }

    /// What no field can know by itself.
    fn check(&self, text: &str) -> Result<(), String> {
        if self.name == BUILT_IN {
            return Err(format!(
                "`name` is {BUILT_IN}, the agent of timeslip itself; choose another"
            ));
        }
        if self.install.is_some() && self.folder.is_some() {
            return Err("has both `install` and `folder`; its programs are in one place".into());
        }
        for way in &self.speaks {
            let known = || {
                PLACES
                    .into_iter()
                    .chain(way.places.keys().map(String::as_str))
            };
            let unknown_in_text = self.texts(way).flat_map(Template::places);
            let mut unknown = unknown_in_text.filter(|name| !known().any(|known| known == *name));
            let in_places = way.places.values().flat_map(Template::places);
            let mut unknown_in_places = in_places.filter(|name| !PLACES.contains(name));
            if let Some(unknown) = unknown_in_places.next().or_else(|| unknown.next()) {
                let place = format!("{{{unknown}}}");
                let before = text.find(&place).and_then(|start| text.get(..start));
                let line = 1 + before.map_or(0, |before| before.matches('\n').count());
                return Err(format!(
                    "line {line}: {place} is not known; known are {}",
                    known()
                        .map(|name| format!("{{{name}}}"))
                        .collect::<Vec<_>>()
                        .join(", ")
                ));
            }
        }
        let files = self.speaks.iter().flat_map(|way| way.files.keys());
        let elsewhere = |path: &&Template| !path.is_below_home();
        if let Some(path) = self.files.keys().chain(files).find(elsewhere) {
            return Err(format!(
                "the file {path} is not in {{home}}, the one place where an agent's configuration \
                 is written"
            ));
        }
        if self.command.is_empty() && self.control.is_none() {
            return Err("has neither `command` nor `control`; say how it is started".into());
        }
        let own = self.control.iter().flat_map(|control| &control.command);
        let mut own = own.flat_map(Template::places);
        if own.any(|name| name == INSTRUCTION) {
            return Err(
                "says {instruction} in the `command` of `control`; it is asked later".into(),
            );
        }
        let told = self.command.iter().chain(&self.input);
        let told = told.flat_map(Template::places);
        if self.command.is_empty() {
            return Ok(());
        }
        match told.filter(|name| *name == INSTRUCTION).count() {
            1 => Ok(()),
            0 => Err("never says {instruction}; put it into `command` or `input`".into()),
            _ => Err("says {instruction} more than once; keep it in `command` or `input`".into()),
        }
    }

    /// Every text that has places, as used in one of its ways.
    fn texts<'a>(&'a self, way: &'a Speaks) -> impl Iterator<Item = &'a Template> {
        let variables = self.environment.values().chain(way.environment.values());
        let files = self.files.iter().chain(&way.files);
        let files = files.flat_map(|(path, content)| [path, content]);
        let arguments = self.arguments.iter().chain(&way.arguments);
        let control = self.control.iter().flat_map(|control| &control.command);
        let words = self.command.iter().chain(&self.input).chain(control);
        let words = words.chain(arguments);
        words.chain(variables).chain(files)
    }

    /// The way to speak to an endpoint of a protocol, over its transport where the agent has
    /// it, and else over the one it prefers.
    #[must_use]
    pub fn way(&self, protocol: &str, transport: &str) -> Option<&Speaks> {
        let ways = || self.speaks.iter().filter(|way| way.protocol == protocol);
        ways()
            .find(|way| way.transport == transport)
            .or_else(|| ways().next())
    }

    /// The protocols that it speaks, each once.
    #[must_use]
    pub fn protocols(&self) -> Vec<&str> {
        let mut all: Vec<&str> = self
            .speaks
            .iter()
            .map(|way| way.protocol.as_str())
            .collect();
        all.dedup();
        all
    }

    /// How it is pointed at a proxy that passes its own credentials on: `arguments` and
    /// `environment` alone.
    #[must_use]
    pub fn signed_in(&self, values: &Values<'_>) -> Pointing {
        let none = BTreeMap::new();
        let (arguments, environment, places) = match &self.sign_in {
            Some(own) => (own.arguments.iter().collect(), &own.environment, &none),
            None => (
                Vec::new(),
                &self.speaks[0].environment,
                &self.speaks[0].places,
            ),
        };
        let needs_no_key = |text: &Template| !text.places().any(|place| place == "key");
        Pointing {
            arguments: arguments
                .into_iter()
                .map(|text: &Template| text.fill(values, places))
                .collect(),
            environment: environment
                .iter()
                .filter(|(_, text)| needs_no_key(text))
                .map(|(name, text)| (name.clone(), text.fill(values, places)))
                .collect(),
            ..Pointing::default()
        }
    }

    /// Whether a program is this agent's.
    #[must_use]
    pub fn is_started_by(&self, program: &str) -> bool {
        let own = self.command.first().map(ToString::to_string);
        own.is_some_and(|own| own == program)
    }

    /// How it is started so that it is driven and speaks to a server in one of its ways;
    /// `None` where it cannot be driven.
    #[must_use]
    pub fn pointing_driven(&self, way: &Speaks, values: &Values<'_>) -> Option<Pointing> {
        let control = self.control.as_ref()?;
        let fill = |text: &Template| text.fill(values, &way.places);
        Some(Pointing {
            command: control.command.iter().map(fill).collect(),
            input: None,
            ..self.pointing(way, values)
        })
    }

    /// How it is started so that it speaks to a server in one of its ways.
    #[must_use]
    pub fn pointing(&self, way: &Speaks, values: &Values<'_>) -> Pointing {
        let environment = self.environment.iter().chain(&way.environment);
        let files = self.files.iter().chain(&way.files);
        let fill = |text: &Template| text.fill(values, &way.places);
        let arguments = self.arguments.iter().chain(&way.arguments);
        Pointing {
            command: self.command.iter().map(fill).collect(),
            input: self.input.as_ref().map(fill),
            environment: environment
                .map(|(name, value)| (name.clone(), fill(value)))
                .collect(),
            files: files
                .map(|(path, content)| {
                    let path = PathBuf::from(fill(path));
                    let quoted = path.extension();
                    let quoted = quoted.is_some_and(|end| end == "json" || end == "toml");
                    let content = match quoted {
                        true => content.fill_quoted(values, &way.places),
                        false => fill(content),
                    };
                    (path, content)
                })
                .collect(),
            arguments: arguments.map(fill).collect(),
        }
    }
}

fn plain_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    match timeslip_datasets::is_plain_name(&name) {
        true => Ok(name),
        false => Err(D::Error::custom(format!(
            "'{name}' is not plain; use letters, digits, '-', '_' and '.'"
        ))),
    }
}

fn not_empty<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let all = Vec::deserialize(deserializer)?;
    match all.is_empty() {
        false => Ok(all),
        true => Err(D::Error::custom("is empty; name at least one")),
    }
}

fn protocol<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    known(deserializer, protocols::names())
}

fn control_protocol<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    known(deserializer, control::names())
}

fn transport<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    known(deserializer, transports::names())
}

fn first_transport() -> String {
    transports::names().next().unwrap_or_default().to_owned()
}

fn known<'de, D: Deserializer<'de>>(
    deserializer: D,
    names: impl Iterator<Item = &'static str>,
) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    let names: Vec<&str> = names.collect();
    match names.contains(&name.as_str()) {
        true => Ok(name),
        false => Err(D::Error::custom(format!(
            "'{name}' is not known; known are {}",
            names.join(", ")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = r#"
name = "mine"
version = "1"
command = ["sh", "-c", "{instruction}"]
[[speaks]]
protocol = "responses"
"#;

    #[test]
    fn a_file_of_ones_own_needs_little() {
        let adapter = Adapter::parse(Path::new("a.toml"), OWN).unwrap();
        assert_eq!(
            adapter.way("responses", "websocket").unwrap().transport,
            "http-sse"
        );
        assert_eq!(adapter.way("gemini", "http-sse"), None);
        let again: Adapter =
            serde_json::from_value(serde_json::to_value(&adapter).unwrap()).unwrap();
        assert_eq!(again, adapter);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let error = |from: &str, to: &str| {
            let text = OWN.replace(from, to);
            let error = Adapter::parse(Path::new("a.toml"), &text).unwrap_err();
            error.to_string()
        };
        for (from, to, line, problem) in [
            (
                "\"responses\"",
                "\"response\"",
                "line 6,",
                "'response' is not known; known are responses,",
            ),
            (
                "{instruction}",
                "{task}",
                "line 4:",
                "{task} is not known; known are {origin},",
            ),
            ("{instruction}", "x", "a.toml:", "never says {instruction}"),
            (
                "version = \"1\"\n",
                "",
                "line 1,",
                "missing field `version`",
            ),
            (
                "\"mine\"",
                "\"../mine\"",
                "line 2,",
                "'../mine' is not plain",
            ),
            ("\"mine\"", "\"builtin\"", "a.toml:", "choose another"),
            ("name =", "nam =", "line 2,", "unknown field `nam`"),
            (
                "[[speaks]]",
                "files = { \"/x\" = \"\" }\n[[speaks]]",
                "a.toml:",
                "is not in {home}",
            ),
            (
                "[[speaks]]",
                "folder = \"nowhere\"\n[[speaks]]",
                "a.toml:",
                "No such file",
            ),
        ] {
            let error = error(from, to);
            let told = error.starts_with("a.toml:") && error.contains(line);
            assert!(told && error.contains(problem), "{error}");
        }
    }

    #[test]
    fn values_in_json_are_escaped() {
        let text = format!(
            "{OWN}[speaks.files]\n\"{{home}}/c.json\" = '{{\"m\": \"{{model}}\"}}'\n[speaks.environment]\nM = \"{{model}}\"\n"
        );
        let adapter = Adapter::parse(Path::new("a.toml"), &text).unwrap();
        let values = Values {
            origin: "http://h",
            base_url: "http://h/v1",
            model: "a\"b",
            context_tokens: 8000,
            key: "k",
            home: "/h",
            layer: "/l",
            port: "7718",
            instruction: "i",
        };
        let expected = Pointing {
            command: ["sh", "-c", "i"].map(str::to_owned).to_vec(),
            input: None,
            environment: vec![("M".into(), "a\"b".into())],
            files: vec![("/h/c.json".into(), r#"{"m": "a\"b"}"#.into())],
            arguments: Vec::new(),
        };
        assert_eq!(adapter.pointing(&adapter.speaks[0], &values), expected);
    }
}
