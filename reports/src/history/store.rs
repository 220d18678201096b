//! The index of runs: adding to it and asking it.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use super::{
    ALL_SUITES, Endpoint, Error, Evidence, FLOOR_WINDOW, Figure, Key, MOST_RUNS, Record, RunRef,
    schema,
};

/// A history, open.
#[derive(Debug)]
pub struct History {
    path: PathBuf,
    connection: Connection,
}

/// What adding a run did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// The run is new.
    New,
    /// The run was known, and has changed since.
    Updated,
    /// The run was known as it is.
    Unchanged,
}

/// The run that is being judged: only runs before it count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Before<'a> {
    /// Its start, RFC 3339 UTC.
    pub started_at: &'a str,
    /// Its id.
    pub run_id: &'a str,
}

/// Columns of a [`RunRef`], in the order in which [`run_ref`] reads them.
const RUN: &str = "runs.run_id, runs.path, runs.started_at, runs.timeslip_version, \
     runs.fingerprint, runs.valid, runs.complete, runs.simulated, runs.same_endpoint, runs.rejected, \
     runs.pinned";

/// Runs that others are held against, and that noise is learned from.
const USABLE: &str = "runs.valid AND runs.complete AND NOT runs.rejected";

/// Runs before `?2`, `?3`, or all.
const EARLIER: &str = "(?2 IS NULL OR (runs.started_at, runs.run_id) < (?2, ?3))";

impl History {
    /// Opens a history that is there.
    ///
    /// # Errors
    /// [`Error::Missing`], or [`Error::Unusable`] for what is not a history of this
    /// version.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Ok(Self::of(path, schema::open(path, false)?))
    }

    /// Opens a history, or begins one.
    ///
    /// # Errors
    /// [`Error::Unusable`] for what is there and is not a history of this version.
    pub fn open_or_create(path: &Path) -> Result<Self, Error> {
        Ok(Self::of(path, schema::open(path, true)?))
    }

    fn of(path: &Path, connection: Connection) -> Self {
        History {
            path: path.to_owned(),
            connection,
        }
    }

    /// Makes a history of just these runs. One that cannot be used is kept beside the
    /// new one, its name ending in `.unusable`.
    ///
    /// # Errors
    /// [`Error::Namesake`] for two runs of one name, and what the system refuses.
    pub fn rebuild(path: &Path, records: &[Record]) -> Result<Self, Error> {
        let mut history = match Self::open_or_create(path) {
            Err(Error::Unusable { .. }) => {
                set_aside(path)?;
                Self::open_or_create(path)?
            }
            opened => opened?,
        };
        let transaction = history.begin()?;
        transaction
            .execute("DELETE FROM runs", [])
            .map_err(Error::of(path))?;
        for record in records {
            add(path, &transaction, record)?;
        }
        transaction.commit().map_err(Error::of(path))?;
        Ok(history)
    }

    /// Adds a run, or brings what is known of it up to date.
    ///
    /// # Errors
    /// [`Error::Namesake`] when another run of that name is known.
    pub fn add(&mut self, record: &Record) -> Result<Added, Error> {
        let path = self.path.clone();
        let transaction = self.begin()?;
        let added = add(&path, &transaction, record)?;
        transaction.commit().map_err(Error::of(&path))?;
        Ok(added)
    }

    /// Adds a run as the baseline of its setting; gives the runs that were it before.
    ///
    /// # Errors
    /// As [`History::add`].
    pub fn pin(&mut self, record: &Record) -> Result<Vec<RunRef>, Error> {
        let path = self.path.clone();
        let failed = Error::of(&path);
        let mut record = record.clone();
        record.run.pinned = true;
        let transaction = self.begin()?;
        add(&path, &transaction, &record)?;
        let others = params![record.run.fingerprint, record.run.run_id];
        let condition = "fingerprint = ?1 AND run_id <> ?2 AND pinned";
        let select = format!("SELECT {RUN} FROM runs WHERE {condition}");
        let before = rows(&transaction, &select, others, run_ref).map_err(&failed)?;
        transaction
            .execute(
                &format!("UPDATE runs SET pinned = 0 WHERE {condition}"),
                others,
            )
            .map_err(&failed)?;
        transaction.commit().map_err(&failed)?;
        Ok(before)
    }

    /// What a run of this setting is compared with: the pinned run, or else up to
    /// `window` valid and complete runs before it, the latest last.
    ///
    /// # Errors
    /// What the database refuses.
    pub fn baseline(
        &self,
        fingerprint: &str,
        before: Option<Before>,
        window: usize,
    ) -> Result<Vec<RunRef>, Error> {
        let own = before.map(|before| before.run_id);
        let pinned = format!(
            "SELECT {RUN} FROM runs WHERE fingerprint = ?1 AND pinned AND run_id IS NOT ?2
             ORDER BY started_at DESC, run_id DESC LIMIT 1"
        );
        let pinned = self.rows(&pinned, params![fingerprint, own], run_ref)?;
        if !pinned.is_empty() {
            return Ok(pinned);
        }
        let rolling = format!(
            "SELECT {RUN} FROM runs WHERE fingerprint = ?1 AND {USABLE} AND {EARLIER}
             ORDER BY started_at DESC, run_id DESC LIMIT ?4"
        );
        let started = before.map(|before| before.started_at);
        let limit = window.min(MOST_RUNS) as i64;
        let mut runs = self.rows(&rolling, params![fingerprint, started, own, limit], run_ref)?;
        runs.reverse();
        Ok(runs)
    }

    /// What a noise floor would be learned from: the last [`FLOOR_WINDOW`] valid and
    /// complete runs of the setting, and as many of the endpoint under two names.
    ///
    /// # Errors
    /// What the database refuses.
    pub fn evidence(
        &self,
        fingerprint: &str,
        key: &Key,
        before: Option<Before>,
    ) -> Result<Evidence, Error> {
        let (started, own) = (
            before.map(|before| before.started_at),
            before.map(|before| before.run_id),
        );
        let values: Vec<f64> = self
            .values(fingerprint, key, before, FLOOR_WINDOW)?
            .into_iter()
            .map(|(_, value, _)| value)
            .collect();
        let pairs = format!(
            "SELECT a.value, b.value FROM runs
             JOIN endpoints AS first ON first.run_id = runs.run_id AND first.position = 0
             JOIN endpoints AS second ON second.run_id = runs.run_id AND second.position = 1
             JOIN figures AS a ON a.run_id = runs.run_id AND a.endpoint = first.name
             JOIN figures AS b ON b.run_id = runs.run_id AND b.endpoint = second.name
               AND b.suite = a.suite AND b.metric = a.metric AND b.statistic = a.statistic
             WHERE runs.same_endpoint AND {USABLE} AND {EARLIER}
               AND first.setting IN (
                 SELECT setting FROM endpoints JOIN runs AS alike USING (run_id)
                 WHERE alike.fingerprint = ?1 AND endpoints.name = ?4)
               AND a.suite = ?5 AND a.metric = ?6 AND a.statistic = ?7
             ORDER BY runs.started_at DESC, runs.run_id DESC LIMIT ?8"
        );
        let pairs = self.rows(
            &pairs,
            params![
                fingerprint,
                started,
                own,
                key.endpoint,
                key.suite,
                key.metric,
                key.statistic,
                FLOOR_WINDOW as i64
            ],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        Ok(Evidence::of(&key.metric, &pairs, &values))
    }

    /// A figure over the last `window` valid and complete runs of a setting, oldest first.
    pub(super) fn values(
        &self,
        fingerprint: &str,
        key: &Key,
        before: Option<Before>,
        window: usize,
    ) -> Result<Vec<(String, f64, usize)>, Error> {
        let sql = format!(
            "SELECT runs.run_id, figures.value, figures.n FROM runs JOIN figures USING (run_id)
             WHERE runs.fingerprint = ?1 AND {USABLE} AND {EARLIER}
               AND suite = ?4 AND endpoint = ?5 AND metric = ?6 AND statistic = ?7
             ORDER BY runs.started_at DESC, runs.run_id DESC LIMIT ?8"
        );
        let mut values = self.rows(
            &sql,
            params![
                fingerprint,
                before.map(|before| before.started_at),
                before.map(|before| before.run_id),
                key.suite,
                key.endpoint,
                key.metric,
                key.statistic,
                window.min(MOST_RUNS) as i64
            ],
            |row| Ok((row.get(0)?, row.get(1)?, size(row, 2)?)),
        )?;
        values.reverse();
        Ok(values)
    }

    /// Fingerprints, that of the latest run first.
    pub(super) fn settings(&self) -> Result<Vec<String>, Error> {
        let sql = "SELECT fingerprint FROM runs GROUP BY fingerprint
             ORDER BY max(started_at) DESC, fingerprint LIMIT ?1";
        self.rows(sql, [MOST_RUNS as i64], |row| row.get(0))
    }

    /// The latest runs of a setting, oldest first.
    pub(super) fn runs(&self, fingerprint: &str) -> Result<Vec<RunRef>, Error> {
        let sql = format!(
            "SELECT {RUN} FROM runs WHERE fingerprint = ?1
             ORDER BY started_at DESC, run_id DESC LIMIT ?2"
        );
        let mut runs = self.rows(&sql, params![fingerprint, MOST_RUNS as i64], run_ref)?;
        runs.reverse();
        Ok(runs)
    }

    /// The figures that the valid and complete runs of a setting have.
    pub(super) fn keys(&self, fingerprint: &str) -> Result<Vec<Key>, Error> {
        let sql = "SELECT DISTINCT suite, endpoint, metric, statistic
             FROM runs JOIN figures USING (run_id) WHERE fingerprint = ?1
             ORDER BY suite <> ?2, suite, endpoint, metric, statistic LIMIT 10000";
        self.rows(sql, params![fingerprint, ALL_SUITES], |row| {
            Ok(Key {
                suite: row.get(0)?,
                endpoint: row.get(1)?,
                metric: row.get(2)?,
                statistic: row.get(3)?,
            })
        })
    }

    /// All that is known of a run.
    ///
    /// # Errors
    /// What the database refuses.
    pub fn record(&self, run_id: &str) -> Result<Option<Record>, Error> {
        record(&self.connection, run_id).map_err(Error::of(&self.path))
    }

    fn rows<T>(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        read: impl FnMut(&Row) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        rows(&self.connection, sql, parameters, read).map_err(Error::of(&self.path))
    }

    /// Writers queue before they read, so that none decides on what another changes.
    fn begin(&mut self) -> Result<Transaction<'_>, Error> {
        self.connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(Error::of(&self.path))
    }
}

/// Keeps a file that is no history, in case it is something else. The journals of a
/// database that is gone must not be played into the next one.
fn set_aside(path: &Path) -> Result<(), Error> {
    let with = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    std::fs::rename(path, with(".unusable")).map_err(|source| Error::System {
        path: path.to_owned(),
        source,
    })?;
    for ending in ["-journal", "-wal", "-shm"] {
        match std::fs::remove_file(with(ending)) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::System {
                    path: with(ending),
                    source,
                });
            }
            _ => {}
        }
    }
    Ok(())
}

fn add(path: &Path, connection: &Connection, record: &Record) -> Result<Added, Error> {
    let failed = Error::of(path);
    let record = &normal(record);
    let known = self::record(connection, &record.run.run_id).map_err(&failed)?;
    let added = match known {
        None => Added::New,
        Some(mut known) => {
            let moved = known.run.path != record.run.path;
            let elsewhere = moved && Path::new(&known.run.path).join("run.json").exists();
            let first = std::mem::replace(&mut known.run.path, record.run.path.clone());
            let same = known == *record;
            // A copy of a run is that run.
            if same && (!moved || elsewhere) {
                return Ok(Added::Unchanged);
            }
            if elsewhere {
                return Err(Error::Namesake {
                    run_id: record.run.run_id.clone(),
                    first: first.into(),
                    second: record.run.path.clone().into(),
                });
            }
            Added::Updated
        }
    };
    replace(connection, record).map_err(&failed)?;
    Ok(added)
}

/// As it comes back from the tables: no value that is not a number, every figure once,
/// in order.
fn normal(record: &Record) -> Record {
    let mut record = record.clone();
    record.figures.retain(|figure| figure.value.is_finite());
    record.figures.sort_by(|a, b| key(a).cmp(&key(b)));
    record.figures.dedup_by(|a, b| key(a) == key(b));
    record
}

fn key(figure: &Figure) -> (&str, &str, &str, &str) {
    (
        &figure.suite,
        &figure.endpoint,
        &figure.metric,
        &figure.statistic,
    )
}

fn replace(connection: &Connection, record: &Record) -> rusqlite::Result<()> {
    let run = &record.run;
    connection.execute("DELETE FROM runs WHERE run_id = ?1", [&run.run_id])?;
    connection.execute(
        "INSERT INTO runs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            run.run_id,
            run.path,
            run.started_at,
            run.timeslip_version,
            run.fingerprint,
            run.valid,
            run.complete,
            run.simulated,
            run.same_endpoint,
            run.rejected,
            run.pinned
        ],
    )?;
    let mut insert = connection.prepare("INSERT INTO endpoints VALUES (?1, ?2, ?3, ?4)")?;
    for (position, endpoint) in record.endpoints.iter().enumerate() {
        let position = position as i64;
        insert.execute(params![
            run.run_id,
            position,
            endpoint.name,
            endpoint.setting
        ])?;
    }
    let mut insert =
        connection.prepare("INSERT INTO figures VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    for figure in &record.figures {
        let n = i64::try_from(figure.n).unwrap_or(i64::MAX);
        insert.execute(params![
            run.run_id,
            figure.suite,
            figure.endpoint,
            figure.metric,
            figure.statistic,
            figure.value,
            n
        ])?;
    }
    Ok(())
}

fn record(connection: &Connection, run_id: &str) -> rusqlite::Result<Option<Record>> {
    let sql = format!("SELECT {RUN} FROM runs WHERE run_id = ?1");
    let Some(run) = connection.query_row(&sql, [run_id], run_ref).optional()? else {
        return Ok(None);
    };
    let endpoints = rows(
        connection,
        "SELECT name, setting FROM endpoints WHERE run_id = ?1 ORDER BY position",
        [run_id],
        |row| {
            Ok(Endpoint {
                name: row.get(0)?,
                setting: row.get(1)?,
            })
        },
    )?;
    let figures = rows(
        connection,
        "SELECT suite, endpoint, metric, statistic, value, n FROM figures WHERE run_id = ?1
         ORDER BY suite, endpoint, metric, statistic",
        [run_id],
        |row| {
            Ok(Figure {
                suite: row.get(0)?,
                endpoint: row.get(1)?,
                metric: row.get(2)?,
                statistic: row.get(3)?,
                value: row.get(4)?,
                n: size(row, 5)?,
            })
        },
    )?;
    Ok(Some(Record {
        run,
        endpoints,
        figures,
    }))
}

fn rows<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    read: impl FnMut(&Row) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map(parameters, read)?;
    rows.collect()
}

fn run_ref(row: &Row) -> rusqlite::Result<RunRef> {
    Ok(RunRef {
        run_id: row.get(0)?,
        path: row.get(1)?,
        started_at: row.get(2)?,
        timeslip_version: row.get(3)?,
        fingerprint: row.get(4)?,
        valid: row.get(5)?,
        complete: row.get(6)?,
        simulated: row.get(7)?,
        same_endpoint: row.get(8)?,
        rejected: row.get(9)?,
        pinned: row.get(10)?,
    })
}

fn size(row: &Row, column: usize) -> rusqlite::Result<usize> {
    let n: i64 = row.get(column)?;
    usize::try_from(n).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, n))
}
