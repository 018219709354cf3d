//! The queue in a SQLite file.

use crate::{Entry, Error, Job, State, entry};
use apalis::prelude::{Task, TaskId};
use apalis_sqlite::{Config, SqlitePool, SqlitePoolOptions, SqliteStorage, queries::push_tasks};
use sqlx::{
    ConnectOptions, Connection, Row, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous},
};
use std::{
    collections::HashSet,
    ffi::OsString,
    fs::{self, File, FileType, TryLockError},
    io::{ErrorKind, Read},
    os::{fd::IntoRawFd, unix::fs::FileTypeExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// Its pool of connections, and the queue's name.
#[derive(Clone, Debug)]
pub struct Sqlite {
    pool: SqlitePool,
    queue: String,
}

/// The `application_id` in the header of our files, so that no other program's file is taken for
/// one: "JobQ".
const OURS: i64 = 0x4a6f_6251;

/// The `user_version` of our files: the number of the last change that [`prepare`] has made to the
/// tables.
const VERSION: i64 = 1;

/// How long a command waits for others that use the file.
const PATIENCE: Duration = Duration::from_secs(10);

/// apalis: each fetch sorted all waiting jobs, and each result was looked for among all jobs of its
/// worker, because SQLite preferred these indices. What remains: the next job by
/// `idx_jobs_pending`, a job by its id, and these two.
const INDICES: &str = "\
    DROP INDEX IF EXISTS LIdx; \
    DROP INDEX IF EXISTS idx_jobs_claimable; \
    DROP INDEX IF EXISTS idx_jobs_failed; \
    DROP INDEX IF EXISTS idx_jobs_job_type_status_run_at; \
    DROP INDEX IF EXISTS idx_jobs_status_run_at; \
    CREATE INDEX IF NOT EXISTS job_queue_retry ON Jobs(job_type, run_at) WHERE status = 'Failed'; \
    CREATE INDEX IF NOT EXISTS job_queue_held ON Jobs(lock_by) \
        WHERE status = 'Running' OR status = 'Queued'";

impl Sqlite {
    pub(crate) async fn open(file: &Path, queue: &str) -> Result<Sqlite, Error> {
        if !is_prepared(file).await? {
            // Several programs may create the same tables at once, and nothing else keeps them
            // apart. (A lock on the file itself would be in SQLite's way.)
            let _lock = lock_directory(file).await?;
            if !is_prepared(file).await? {
                prepare(file).await.map_err(explain)?;
            }
        }
        // apalis: its own `setup` turns `synchronous` off, and a job that was acknowledged would be
        // lost with the power.
        let options =
            options(file).journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
        let pool = SqlitePoolOptions::new().max_connections(4);
        let pool = pool.connect_with(options).await.map_err(explain)?;
        Ok(Sqlite { pool, queue: queue.into() })
    }

    pub(crate) async fn open_to_list(file: &Path, queue: &str) -> Result<Sqlite, Error> {
        if inspect(file).await? != Found::Ours {
            return Err("it is empty: no jobs were ever added".into());
        }
        let options = options(file).read_only(true);
        let opened = match reader(options.clone()).await {
            // In a directory that is read-only, nobody writes to the file, and SQLite cannot create
            // its lock beside it.
            Err(_) if !companion(file, "-wal").exists() => reader(options.immutable(true)).await,
            opened => opened,
        };
        Ok(Sqlite { pool: opened.map_err(explain)?, queue: queue.into() })
    }

    pub(crate) fn storage(&self, config: Config) -> SqliteStorage<Vec<u8>> {
        SqliteStorage::new(&self.pool).with_config(config)
    }

    pub(crate) fn config(&self) -> Config {
        Config::default().queue(&self.queue)
    }

    pub(crate) async fn push(&self, jobs: &[Job]) -> Result<usize, Error> {
        let tasks = entry::tasks(jobs)?;
        self.push_tasks(&tasks).await.map_err(explain)
    }

    async fn push_tasks(&self, tasks: &[Task<Vec<u8>>]) -> Result<usize, apalis_sqlite::Error> {
        let mut transaction = self.pool.begin().await?;
        let changes = "SELECT total_changes()";
        let before: i64 = sqlx::query_scalar(changes).fetch_one(&mut *transaction).await?;
        push_tasks(&mut *transaction, &self.queue, tasks).await?;
        let after: i64 = sqlx::query_scalar(changes).fetch_one(&mut *transaction).await?;
        transaction.commit().await?;
        Ok((after - before) as usize)
    }

    pub(crate) async fn entries(&self) -> Result<Vec<Entry>, Error> {
        let query = sqlx::query("SELECT * FROM Jobs WHERE job_type = ?").bind(&self.queue);
        let rows = query.fetch_all(&self.pool).await.map_err(explain)?;
        rows.iter().map(entry).collect()
    }

    /// Makes the waiting jobs due whose time was stored before the clock was set back.
    pub(crate) async fn promote(&self) -> Result<(), Error> {
        let query = "UPDATE Jobs SET run_at = ?1 \
            WHERE job_type = ?2 AND status IN ('Pending', 'Failed') AND run_at > ?1 + ?3";
        let query = sqlx::query(query).bind(entry::now() as i64);
        query.bind(&self.queue).bind(entry::LATEST as i64).execute(&self.pool).await?;
        Ok(())
    }

    /// The library takes a job that failed again when its time has come, and leaves that time as it
    /// was: at once.
    pub(crate) async fn back_off(&self, id: &str, until: u64) -> Result<(), Error> {
        let query = sqlx::query("UPDATE Jobs SET run_at = ? WHERE id = ?");
        query.bind(until as i64).bind(id).execute(&self.pool).await?;
        Ok(())
    }

    /// A worker that was last seen in the future died before the clock was set back: it is waited
    /// for from now on.
    pub(crate) async fn beat(&self, name: &str) -> Result<(), Error> {
        let query = "UPDATE Workers SET last_seen = ?1 WHERE id = ?2 OR last_seen > ?1 + ?3";
        let now = entry::now() as i64;
        let query = sqlx::query(query).bind(now).bind(name).bind(entry::LATEST as i64);
        query.execute(&self.pool).await?;
        let query = "UPDATE Jobs SET run_at = ?1 \
            WHERE job_type = ?2 AND status = 'Failed' AND run_at > ?1 + ?3";
        let query = sqlx::query(query).bind(now).bind(&self.queue).bind(entry::LATEST as i64);
        query.execute(&self.pool).await?;
        Ok(())
    }

    pub(crate) async fn give_back(
        &self,
        name: &str,
        failed: bool,
    ) -> Result<Vec<(Vec<u8>, String)>, Error> {
        let query = "UPDATE Jobs SET status = 'Pending', lock_by = NULL, lock_at = NULL, \
            attempts = attempts + 1 WHERE lock_by = ? AND (status = 'Running' OR status = 'Queued')";
        sqlx::query(query).bind(name).execute(&self.pool).await.map_err(explain)?;
        if failed { self.set_aside().await } else { Ok(Vec::new()) }
    }

    /// apalis: a row that it cannot read makes each fetch fail, as long as it is the next one.
    async fn set_aside(&self) -> Result<Vec<(Vec<u8>, String)>, Error> {
        let query =
            "SELECT rowid, * FROM Jobs WHERE job_type = ? AND status IN ('Pending', 'Failed')";
        let rows = sqlx::query(query).bind(&self.queue).fetch_all(&self.pool).await?;
        let mut aside = Vec::new();
        for row in &rows {
            let Some(reason) = unreadable(row) else { continue };
            let query = "UPDATE Jobs SET status = 'Killed', lock_by = NULL, last_result = ?, \
                done_at = strftime('%s', 'now') WHERE rowid = ?";
            let query = sqlx::query(query).bind(entry::failure(&reason));
            query.bind(row.try_get::<i64, _>("rowid")?).execute(&self.pool).await?;
            aside.push((row.try_get_unchecked("id")?, reason));
        }
        Ok(aside)
    }
}

/// Why the library cannot read this row, if it cannot.
fn unreadable(row: &SqliteRow) -> Option<String> {
    fn text(row: &SqliteRow, column: &str) -> bool {
        row.try_get::<Option<String>, _>(column).is_ok()
    }
    fn number(row: &SqliteRow, column: &str) -> bool {
        row.try_get::<Option<i64>, _>(column).is_ok_and(|number| number.unwrap_or(0) >= 0)
    }
    let id = row.try_get::<String, _>("id").ok().and_then(|id| id.parse().ok());
    if id.is_none_or(|id: TaskId| id.as_ulid().is_none()) {
        return Some("cannot be read: its id is not a ULID".into());
    }
    let texts = ["job_type", "status", "lock_by", "metadata", "idempotency_key", "last_result"];
    let numbers = ["attempts", "max_attempts", "run_at", "lock_at", "done_at", "priority"];
    let wrong = (texts.iter().find(|column| !text(row, column)))
        .or_else(|| numbers.iter().find(|column| !number(row, column)))
        .or_else(|| row.try_get::<Vec<u8>, _>("job").is_err().then_some(&"job"));
    let wrong = wrong.copied().or_else(|| {
        row.try_get::<i64, _>("attempts")
            .is_ok_and(|n| u32::try_from(n).is_err())
            .then_some("attempts")
    });
    wrong.map(|column| format!("cannot be read: its {column} is invalid"))
}

fn entry(row: &SqliteRow) -> Result<Entry, Error> {
    let bytes = |column| row.try_get_unchecked::<Option<Vec<u8>>, _>(column);
    let status = bytes("status")?.unwrap_or_default();
    let mut job = Job::decode(&bytes("job")?.unwrap_or_default());
    let state = match status.as_slice() {
        b"Done" => State::Done,
        b"Killed" => State::Failed,
        b"Queued" | b"Running" => State::Running,
        b"Pending" | b"Failed" => State::Waiting,
        other => {
            let status = String::from_utf8_lossy(other).into_owned();
            job = Err(format!("cannot be read: its status {status:?} is unknown"));
            State::Failed
        }
    };
    if state != State::Done
        && let Some(reason) = unreadable(row)
    {
        job = Err(reason);
    }
    Ok(Entry {
        id: bytes("id")?.unwrap_or_default(),
        job,
        state,
        runs: row.try_get("attempts").unwrap_or(0),
        result: entry::result(bytes("last_result")?.as_deref()),
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// No file, or one without tables.
    Nothing,
    /// A store, whose tables may be those of an older version.
    Ours,
}

/// What `file` is. Nothing in it is changed, also if it is another program's.
async fn inspect(file: &Path) -> Result<Found, Error> {
    match fs::metadata(file) {
        Ok(about) if !about.is_file() => {
            return Err(format!("it is {}; expected a SQLite file", kind(about.file_type())).into());
        }
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    for name in ["-journal", "-wal", "-shm"] {
        let companion = companion(file, name);
        let about = fs::symlink_metadata(&companion).ok();
        if let Some(about) = about.filter(|about| !about.is_file()) {
            let kind = kind(about.file_type());
            return Err(
                format!("the file with {name} at its end, which is SQLite's, is {kind}").into()
            );
        }
    }
    let mut header = Vec::new();
    File::open(file)?.take(100).read_to_end(&mut header)?;
    if header.is_empty() {
        return Ok(Found::Nothing);
    }
    if !header.starts_with(b"SQLite format 3\0") || header.len() < 100 {
        return Err("it is not a SQLite file".into());
    }
    let id = i64::from(u32::from_be_bytes([header[68], header[69], header[70], header[71]]));
    let foreign = || Err("it is another program's SQLite file; expected a job queue's".into());
    if id == OURS {
        return Ok(Found::Ours);
    } else if id != 0 {
        return foreign();
    }
    // No id: another program's, or one of ours from the time before there was an id.
    let immutable = options(file).immutable(true);
    let mut tables = tables(immutable).await;
    if !tables.as_ref().is_ok_and(is_old) && companion(file, "-wal").exists() {
        tables = self::tables(options(file).read_only(true)).await;
    }
    match tables.map_err(explain)? {
        tables if tables.is_empty() => Ok(Found::Nothing),
        tables if is_old(&tables) => Ok(Found::Ours),
        _ => foreign(),
    }
}

fn is_old(tables: &HashSet<String>) -> bool {
    ["_sqlx_migrations", "Jobs", "Workers"].iter().all(|name| tables.contains(*name))
}

/// A pool of one connection that has been able to read.
async fn reader(options: SqliteConnectOptions) -> sqlx::Result<SqlitePool> {
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
    sqlx::query("SELECT name FROM sqlite_schema").fetch_optional(&pool).await?;
    Ok(pool)
}

async fn tables(options: SqliteConnectOptions) -> sqlx::Result<HashSet<String>> {
    let mut connection = options.connect().await?;
    let names = sqlx::query_scalar("SELECT name FROM sqlite_schema").fetch_all(&mut connection);
    let names: Vec<String> = names.await?;
    connection.close().await?;
    Ok(names.into_iter().collect())
}

/// sqlx: a path has to be UTF-8. Another one is given to SQLite as a link to it, which SQLite
/// resolves.
fn options(file: &Path) -> SqliteConnectOptions {
    let options = SqliteConnectOptions::new().busy_timeout(PATIENCE);
    let create = |_| File::options().append(true).create(true).open(file);
    if file.to_str().is_none()
        && let Ok(opened) = File::open(file).or_else(create)
    {
        // It stays open: connections are made at any time, and to close it would give up SQLite's
        // locks on the file.
        return options.filename(format!("/proc/self/fd/{}", opened.into_raw_fd()));
    }
    options.filename(file)
}

/// A file of SQLite's own beside `file`, which may be a symbolic link.
fn companion(file: &Path, end: &str) -> PathBuf {
    let mut name: OsString = file.canonicalize().unwrap_or(file.into()).into();
    name.push(end);
    name.into()
}

fn kind(file: FileType) -> &'static str {
    match file {
        file if file.is_dir() => "a directory",
        file if file.is_fifo() => "a FIFO",
        file if file.is_socket() => "a socket",
        file if file.is_symlink() => "a symbolic link",
        _ => "a device",
    }
}

/// Whether `file` is a store whose tables are as this program wants them.
async fn is_prepared(file: &Path) -> Result<bool, Error> {
    match inspect(file).await {
        Ok(Found::Ours) => {}
        Ok(Found::Nothing) => return Ok(false),
        Err(error) => match error.downcast_ref::<std::io::Error>() {
            Some(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            _ => return Err(error),
        },
    }
    let mut connection = options(file).connect().await.map_err(explain)?;
    let prepared = has_tables(&mut connection).await.map_err(explain)?;
    connection.close().await.map_err(explain)?;
    Ok(prepared)
}

async fn has_tables(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    let id: i64 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *connection).await?;
    let version: i64 =
        sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await?;
    if (id, version) != (OURS, VERSION) {
        return Ok(false);
    }
    let query = sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success");
    let done: Vec<i64> = query.fetch_all(connection).await?;
    let migrations = SqliteStorage::migrations();
    Ok(migrations.iter().all(|migration| done.contains(&migration.version)))
}

/// Makes the tables, or brings them to this version.
async fn prepare(file: &Path) -> sqlx::Result<()> {
    let mut connection = options(file).create_if_missing(true).connect().await?;
    // First, and before the log is used: whatever happens now, the header says whose file this is.
    let id = format!("PRAGMA application_id = {OURS}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(id)).execute(&mut connection).await?;
    SqliteStorage::migrations().run(&mut connection).await?;
    sqlx::raw_sql(INDICES).execute(&mut connection).await?;
    let version = format!("PRAGMA user_version = {VERSION}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(version)).execute(&mut connection).await?;
    connection.close().await
}

/// A lock on the directory of `file`. Who holds one for long is another program.
async fn lock_directory(file: &Path) -> Result<File, Error> {
    let directory = file.parent().filter(|directory| !directory.as_os_str().is_empty());
    let directory = File::open(directory.unwrap_or(Path::new(".")))?;
    let begun = Instant::now();
    loop {
        match directory.try_lock() {
            Ok(()) => return Ok(directory),
            Err(TryLockError::Error(error)) => return Err(error.into()),
            Err(TryLockError::WouldBlock) if begun.elapsed() > PATIENCE => {
                let error =
                    "cannot create its tables: another program has held a lock on its directory";
                return Err(format!("{error} for {PATIENCE:?}").into());
            }
            Err(TryLockError::WouldBlock) => sleep(Duration::from_millis(20)).await,
        }
    }
}

/// What SQLite reports, in words that say what to do.
fn explain(error: impl Into<apalis_sqlite::Error>) -> Error {
    let error = match error.into() {
        apalis_sqlite::Error::Database(error) => error,
        error => return error.into(),
    };
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    // The low byte is the kind of the error; what is above it, the details.
    match code.map(|code| code & 0xff) {
        Some(5 | 6) => format!("it is locked by another program (waited for {PATIENCE:?})").into(),
        Some(8) => "it is read-only".into(),
        Some(11) => format!("it is damaged: {error}").into(),
        Some(13) => "no space is left on its disk".into(),
        Some(14) => format!("it cannot be opened: {error}").into(),
        Some(26) => "it is not a SQLite file".into(),
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apalis::prelude::{Status, TaskResult, WorkerContext};
    use apalis_sqlite::queries::{ack_tasks, fetch_next, lock_tasks};
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    };

    /// How many steps SQLite takes for each thing a worker does about one job, beside so many that
    /// wait and that are done. (Jobs that have failed and are not due yet are looked at one by one,
    /// in the index; those are few.)
    async fn steps(others: u32) -> [u64; 5] {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("store");
        prepare(&file).await.unwrap();
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options(&file));
        let sqlite = Sqlite { pool: pool.await.unwrap(), queue: "q".into() };
        let fill = format!(
            "INSERT INTO Workers (id, worker_type, storage_name, last_seen) \
                VALUES ('w', 'q', 's', 9000000000), ('dead', 'q', 's', 0); \
            WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {others}) \
            INSERT INTO Jobs (job, id, job_type, status, lock_by, run_at) \
                SELECT '{{}}', printf('%026d', n), 'q', 'Pending', NULL, 0 FROM n UNION ALL \
                SELECT '{{}}', printf('1%025d', n), 'q', 'Done', 'w', 0 FROM n UNION ALL \
                SELECT '{{}}', printf('3%025d', 1), 'q', 'Running', 'dead', 0"
        );
        let mut connection = sqlite.pool.acquire().await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(fill)).execute(&mut *connection).await.unwrap();
        let count = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&count);
        connection.lock_handle().await.unwrap().set_progress_handler(1, move || {
            counter.fetch_add(1, SeqCst);
            true
        });
        let worker = WorkerContext::from("w");
        let config = sqlite.config().batch_size(1);
        let took = || count.swap(0, SeqCst);
        took();
        let fetched = fetch_next(&mut *connection, &config, &worker).await.unwrap();
        let id = fetched[0].task_id().unwrap().clone();
        assert_eq!(id.to_string(), format!("{:026}", 1));
        let fetch = took();
        assert_eq!(lock_tasks(&mut *connection, &[id.to_string()], "w").await.unwrap(), 1);
        let lock = took();
        let result =
            TaskResult { task_id: id, status: Status::Done, attempt: 1, result: Ok("r".into()) };
        assert_eq!(ack_tasks(&mut *connection, &[&result], "w").await.unwrap(), 1);
        let done = took();
        drop(connection); // and the pool takes it again for what follows
        assert_eq!(sqlite.give_back("dead", false).await.unwrap(), []);
        let given_back = took();
        sqlite.beat("w").await.unwrap();
        let beat = took();
        assert!(given_back > 0 && beat > 0);
        [fetch, lock, done, given_back, beat]
    }

    #[tokio::test]
    async fn what_one_job_takes_does_not_depend_on_how_many_there_are() {
        let [few, many] = [steps(10).await, steps(5_000).await];
        for (few, many) in few.into_iter().zip(many) {
            assert!(many < few * 2, "{few} steps beside 10 jobs, {many} beside 5,000");
        }
    }
}
