//! `timeslip record`: any client, unmodified, from its start to its end.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use timeslip_datasets::run::RunDirectory;
use timeslip_datasets::run::journal::{
    AgentRun, EndedBy, Event, Outcome, Record, TrialFinished, TrialStarted, Writer,
};
use timeslip_datasets::text::plural;
use timeslip_proxy::{Limits, Options, Running, Seen};
use timeslip_suites::{Sandbox, Suite};
use timeslip_wire::clock;
use tokio::process::Command;

use super::report;
use crate::agents::{self, Pointing, Values};
use crate::cli::claims::Claims;
use crate::cli::interrupt::Interruption;
use crate::cli::keeping::Keeping;
use crate::cli::recording::{Asked, Client, Opened, say_as_spoken};
use crate::console::say;
use crate::error::Error;
use crate::exit;
use crate::record::{self, Lines, Recording};
use crate::run::config::Config;
use crate::run::environment;

/// Record what any client asks its model, and where the time goes
#[derive(Debug, clap::Parser)]
pub(super) struct Arguments {
    /// Read this configuration file [default: timeslip.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Send what the client asks to this endpoint, with the endpoint's own key
    #[arg(long, short = 'e', value_name = "NAME", conflicts_with = "upstream")]
    endpoint: Option<String>,
    /// Send what the client asks to this base URL, with the client's own sign-in [default:
    /// where the client asks by itself]
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// The client, where its program does not tell: one of `timeslip agents`, or a TOML file
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// Listen on this address [default: a free port of 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    #[command(flatten)]
    keeping: Keeping,
    /// Make run directories here [default: as configured]
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// The client's command line; without it, any client is served until Ctrl-C
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// How the command went, in nanoseconds from the start of the recording.
struct Ended {
    start: u64,
    end: u64,
    status: ExitStatus,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    if arguments.command.is_empty() && arguments.listen.is_none() {
        return Err(Error::Config {
            place: "record".to_owned(),
            problem: "nothing to record; give a command after `--`, or --listen ADDRESS for \
                      clients that are started elsewhere"
                .to_owned(),
        });
    }
    if let Some(program) = arguments.command.first()
        && which::which(program).is_err()
    {
        return Err(Error::Config {
            place: program.to_string_lossy().into_owned(),
            problem: "is no program that can be found; nothing was recorded".to_owned(),
        });
    }
    let config = Config::load(arguments.config.as_deref())?;
    let client = Client::of(arguments.command.first(), arguments.agent.as_deref())?;
    let (endpoint, url) = (arguments.endpoint.as_deref(), arguments.upstream.as_deref());
    let asked = Asked::of(&config, endpoint, url, &client)?;
    let scratch = Sandbox::scratch()?;
    let listener = listen(arguments.listen)?;
    let address = listener.local_addr();
    let address = address.map_err(Error::system("cannot listen"))?;
    let (plan, trial) = asked.plan(&client)?;
    let parent = arguments.directory.as_ref();
    let parent = parent.or(config.run.directory.as_ref());
    let parent = parent.map_or(Path::new("runs"), PathBuf::as_path);
    let (directory, mut manifest) =
        RunDirectory::create(parent, "none", environment::facts(), Vec::new(), plan)?;
    let _lock = directory.lock()?;
    let log = asked.simulated().map(|name| directory.emissions(name));
    let suites = Suite::shipped(scratch.path())?;
    let opened = asked.open(&suites, log.transpose()?.as_deref())?;
    let (origin_url, base_url) = opened.urls(address);
    let pointing = client.pointing(
        asked.way(),
        &Values {
            origin: &origin_url,
            base_url: &base_url,
            model: asked.model(),
            context_tokens: asked.context_tokens(),
            key: agents::KEY,
            home: &scratch.path().to_string_lossy(),
            layer: "",
            port: "",
            instruction: "",
        },
    );
    let Opened {
        upstream,
        redaction,
        server: _server,
    } = opened;
    let keeper = directory.keep(arguments.keeping.keep())?;
    let leaves_out_text = keeper.leaves_out_text();
    pointing
        .write_files(scratch.path(), scratch.path())
        .map_err(Error::system("cannot write the client's configuration"))?;
    say(&format!("recording {}", directory.path().display()));
    let interruption = Interruption::expect();
    let at = OffsetDateTime::now_utc();
    let origin = clock::now();
    let (told, recording) = follow(Recording::new(redaction, keeper))?;
    let proxy = timeslip_proxy::start(Options {
        listeners: vec![listener],
        upstream,
        origin,
        limits: Limits::default(),
        seen: told,
    });
    let proxy = proxy.map_err(Error::system("cannot start the proxy"))?;
    let ended = match arguments.command.split_first() {
        Some((program, rest)) => Some(conduct(program, rest, pointing, origin, &interruption)?),
        None => {
            say(&format!("listening; base URL {base_url}; Ctrl-C ends it"));
            super::runtime()?.block_on(interruption.wait());
            None
        }
    };
    let wall_ns = clock::now() - origin;
    let lines = finish(proxy, recording)?;
    say(&told_of(&lines));
    if let Some(spoken) = lines.spoken.clone() {
        say_as_spoken(&mut manifest.plan, spoken);
        directory.write_manifest(&manifest)?;
    }
    let events = events(lines, ended.as_ref(), at, wall_ns);
    let records = events.map(|event| Record {
        trial: trial.clone(),
        event,
    });
    let records: Vec<Record> = match leaves_out_text {
        true => records.map(|record| record.without_text()).collect(),
        false => records.collect(),
    };
    write_down(&directory, &records)?;
    report::render(directory.path(), &Claims::default())?;
    Ok(ended.map_or(exit::PASS, |ended| exit_code(ended.status)))
}

fn listen(address: Option<SocketAddr>) -> Result<TcpListener, Error> {
    let address = address.unwrap_or((Ipv4Addr::LOCALHOST, 0).into());
    TcpListener::bind(address).map_err(Error::system(format!("cannot listen on {address}")))
}

/// Takes in what the proxy tells, on a thread of its own.
fn follow(
    mut recording: Recording,
) -> Result<(SyncSender<Seen>, JoinHandle<io::Result<Lines>>), Error> {
    let (told, seen) = record::channel();
    let thread = std::thread::Builder::new().name("timeslip-record".into());
    let thread = thread.spawn(move || {
        for seen in seen {
            recording.take(seen)?;
        }
        Ok(recording.finish())
    });
    let thread = thread.map_err(Error::system("cannot start the thread that records"))?;
    Ok((told, thread))
}

/// Runs the client to its end, which is sooner where this process alone is asked to end.
fn conduct(
    program: &OsString,
    rest: &[OsString],
    pointing: Pointing,
    origin: u64,
    interruption: &Interruption,
) -> Result<Ended, Error> {
    let runtime = super::runtime()?;
    let _within = runtime.enter();
    let name = program.to_string_lossy();
    let start = clock::now() - origin;
    let mut command = std::process::Command::new(program);
    command
        .args(pointing.arguments)
        .args(rest)
        .envs(pointing.environment)
        // The proxy itself is asked through no other.
        .envs(["NO_PROXY", "no_proxy"].map(|name| (name, "127.0.0.1,localhost")));
    // Without a proxy it would wait for its model in vain.
    timeslip_wire::end_with_starter(&mut command);
    let mut client = Command::from(command)
        .spawn()
        .map_err(Error::system(format!("cannot start {name}")))?;
    let status = runtime.block_on(async {
        tokio::select! {
            status = client.wait() => return status,
            () = interruption.wait_alone() => {}
        }
        let id = client.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(id) = id {
            // It may just have ended by itself.
            let _ = kill_process(id, Signal::TERM);
        }
        client.wait().await
    });
    let status = status.map_err(Error::system(format!("cannot wait for {name}")))?;
    Ok(Ended {
        start,
        end: clock::now() - origin,
        status,
    })
}

/// Ends the proxy, and with it what it tells.
fn finish(proxy: Running, recording: JoinHandle<io::Result<Lines>>) -> Result<Lines, Error> {
    drop(proxy);
    let crashed = |_| Err(io::Error::other("the thread that records crashed"));
    let lines = recording.join().unwrap_or_else(crashed);
    lines.map_err(Error::system("cannot keep what was said"))
}

/// What was recorded, in a sentence.
fn told_of(lines: &Lines) -> String {
    let sides = lines.sides.iter();
    let sides: Vec<String> = sides
        .map(|(side, n)| format!("{n} {}", side.name()))
        .collect();
    let beside = match sides.is_empty() {
        true => String::new(),
        false => format!("; beside them {}", sides.join(", ")),
    };
    let unread = match lines.unread {
        0 => String::new(),
        n => format!(
            "; {} could not be read and went through",
            plural(n as usize, "request")
        ),
    };
    format!(
        "recorded {} of {}{beside}{unread}",
        plural(lines.turns as usize, "turn"),
        plural(lines.agents.len(), "agent")
    )
}

/// The recording's one trial.
fn events(
    lines: Lines,
    ended: Option<&Ended>,
    at: OffsetDateTime,
    wall_ns: u64,
) -> impl Iterator<Item = Event> {
    let started = Event::TrialStarted(TrialStarted {
        at: at.format(&Rfc3339).unwrap_or_default(),
        setup_ns: 0,
        warmth: None,
    });
    let agent_run = ended.map(|ended| {
        Event::AgentRun(AgentRun {
            start: ended.start,
            command_start: Some(ended.start),
            first_request: lines.first_request,
            command_end: Some(ended.end),
            end: ended.end,
            status: ended.status.to_string(),
            ..AgentRun::default()
        })
    });
    let succeeded = ended.is_none_or(|ended| ended.status.success());
    let finished = Event::TrialFinished(TrialFinished {
        outcome: Outcome::Ungraded,
        ended_by: Some(EndedBy::Agent),
        detail: ended
            .filter(|_| !succeeded)
            .map(|ended| ended.status.to_string()),
        wall_ns,
        grading_ns: 0,
        reward: None,
        failed_tests: Vec::new(),
        changes: None,
        solution_changes: None,
    });
    let before = [started].into_iter().chain(agent_run);
    before.chain(lines.events).chain([finished])
}

/// Writes the recording's one trial down.
fn write_down(directory: &RunDirectory, records: &[Record]) -> Result<(), Error> {
    let path = directory.journal();
    let writing = || Error::system(format!("cannot write {}", path.display()));
    let whole = fs::metadata(&path).map_err(writing())?.len();
    let mut journal = Writer::resume(&path, whole).map_err(writing())?;
    for record in records {
        journal.append(record).map_err(writing())?;
    }
    Ok(())
}

/// The command's own, as shells give it.
fn exit_code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok())
        .unwrap_or(exit::UNEXPECTED)
}
