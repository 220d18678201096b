//! The tables of a history, and whether a file holds just them.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::Error;

/// Version of the tables.
const VERSION: i32 = 1;

/// Marks a file as ours: "tmsl".
const APPLICATION: i32 = 0x746d_736c;

/// How long one process waits for another that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);

/// Longest text that is read: names and paths.
const LONGEST: i32 = 1 << 16;

/// Compared with what a file holds: a file with anything else is not used.
const TABLES: [&str; 5] = [
    "CREATE TABLE runs (
        run_id TEXT NOT NULL PRIMARY KEY,
        path TEXT NOT NULL,
        started_at TEXT NOT NULL,
        timeslip_version TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        valid INTEGER NOT NULL,
        complete INTEGER NOT NULL,
        simulated INTEGER NOT NULL,
        same_endpoint INTEGER NOT NULL,
        rejected INTEGER NOT NULL,
        pinned INTEGER NOT NULL
    ) STRICT",
    "CREATE INDEX runs_by_setting ON runs (fingerprint, started_at, run_id)",
    "CREATE TABLE endpoints (
        run_id TEXT NOT NULL REFERENCES runs ON DELETE CASCADE,
        position INTEGER NOT NULL,
        name TEXT NOT NULL,
        setting TEXT NOT NULL,
        PRIMARY KEY (run_id, position)
    ) STRICT, WITHOUT ROWID",
    "CREATE INDEX endpoints_by_setting ON endpoints (setting)",
    "CREATE TABLE figures (
        run_id TEXT NOT NULL REFERENCES runs ON DELETE CASCADE,
        suite TEXT NOT NULL,
        endpoint TEXT NOT NULL,
        metric TEXT NOT NULL,
        statistic TEXT NOT NULL,
        value REAL NOT NULL,
        n INTEGER NOT NULL,
        PRIMARY KEY (run_id, suite, endpoint, metric, statistic)
    ) STRICT, WITHOUT ROWID",
];

/// Opens a history; with `create`, makes the file and its tables where they are missing.
pub(super) fn open(path: &Path, create: bool) -> Result<Connection, Error> {
    let failed = Error::of(path);
    if !create && !path.exists() {
        return Err(Error::Missing {
            path: path.to_owned(),
        });
    }
    if let (true, Some(folder)) = (create, path.parent()) {
        std::fs::create_dir_all(folder).map_err(|source| Error::System {
            path: path.to_owned(),
            source,
        })?;
    }
    // No URI names: a path is a path.
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags.set(OpenFlags::SQLITE_OPEN_CREATE, create);
    let mut connection = Connection::open_with_flags(path, flags).map_err(&failed)?;
    guard(&connection).map_err(&failed)?;
    if create {
        let fresh = |connection: &Connection| {
            connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| {
                row.get::<_, bool>(0)
            })
        };
        if fresh(&connection).map_err(&failed)? {
            let transaction = connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .map_err(&failed)?;
            // Another process may have made them in the meantime.
            if fresh(&transaction).map_err(&failed)? {
                make(&transaction).map_err(&failed)?;
            }
            transaction.commit().map_err(&failed)?;
        }
    }
    check(path, &connection)?;
    Ok(connection)
}

fn guard(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, LONGEST)?;
    // What a hostile file could bring along must not run.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    connection.pragma_update(None, "foreign_keys", true)
}

fn make(connection: &Connection) -> rusqlite::Result<()> {
    for table in TABLES {
        connection.execute(table, [])?;
    }
    connection.pragma_update(None, "application_id", APPLICATION)?;
    connection.pragma_update(None, "user_version", VERSION)
}

fn check(path: &Path, connection: &Connection) -> Result<(), Error> {
    let failed = Error::of(path);
    let unusable = |problem: String| Error::Unusable {
        path: path.to_owned(),
        problem,
    };
    let number = |name: &str| {
        connection
            .pragma_query_value(None, name, |row| row.get::<_, i32>(0))
            .map_err(&failed)
    };
    if number("application_id")? != APPLICATION {
        return Err(unusable("is not a history of timeslip".into()));
    }
    let version = number("user_version")?;
    if version != VERSION {
        return Err(unusable(format!(
            "has version {version}, this timeslip uses {VERSION}"
        )));
    }
    let mut statement = connection
        .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL LIMIT 64")
        .map_err(&failed)?;
    let tables = statement
        .query_map([], |row| row.get::<_, String>(0))
        .and_then(Iterator::collect::<rusqlite::Result<Vec<String>>>)
        .map_err(&failed)?;
    if tables.len() != TABLES.len() || !TABLES.iter().all(|own| tables.iter().any(|t| t == own)) {
        return Err(unusable("holds other tables than a history".into()));
    }
    Ok(())
}
