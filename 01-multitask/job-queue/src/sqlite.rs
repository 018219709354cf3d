//! The queue in a SQLite file.

use crate::{Entry, Error, Job, State, store};
use apalis_sqlite::{Config, SqlitePool, SqlitePoolOptions, SqliteStorage, queries::push_tasks};
use sqlx::{
    Row,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use std::{fs::File, path::Path, time::Duration};

/// Its pool of connections, and the queue's name.
#[derive(Clone, Debug)]
pub struct Sqlite {
    pool: SqlitePool,
    queue: String,
}

impl Sqlite {
    pub(crate) async fn open(file: &Path, queue: &str, create: bool) -> Result<Sqlite, Error> {
        // apalis: its own `setup` turns `synchronous` off, and a job that was acknowledged would be lost with the power.
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(create)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(30));
        // Several may make the same tables at once, and nothing else keeps them apart. (A lock on the
        // file itself would be in SQLite's way.)
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = File::open(folder.unwrap_or(Path::new(".")))?;
        folder.lock()?;
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await?;
        SqliteStorage::migrations().run(&pool).await?;
        Ok(Sqlite { pool, queue: queue.into() })
    }

    pub(crate) fn storage(&self, config: Config) -> SqliteStorage<Job> {
        SqliteStorage::new(&self.pool).with_config(config)
    }

    pub(crate) fn config(&self) -> Config {
        Config::default().queue(&self.queue)
    }

    pub(crate) async fn push(&self, jobs: &[Job]) -> Result<(), Error> {
        let tasks = store::tasks(jobs)?;
        let mut transaction = self.pool.begin().await?;
        push_tasks(&mut *transaction, &self.queue, &tasks).await?;
        transaction.commit().await?;
        Ok(())
    }

    pub(crate) async fn entries(&self) -> Result<Vec<Entry>, Error> {
        let query = "SELECT job, status, attempts, last_result FROM Jobs WHERE job_type = ?";
        let rows = sqlx::query(query).bind(&self.queue).fetch_all(&self.pool).await?;
        rows.iter().map(entry).collect()
    }

    /// The library takes a job that failed again when its time has come, and leaves that time as it was: at once.
    pub(crate) async fn back_off(&self, id: &str, until: u64) -> Result<(), Error> {
        let query = sqlx::query("UPDATE Jobs SET run_at = ? WHERE id = ?");
        query.bind(until as i64).bind(id).execute(&self.pool).await?;
        Ok(())
    }

    pub(crate) async fn beat(&self, name: &str) -> Result<(), Error> {
        let query =
            sqlx::query("UPDATE Workers SET last_seen = strftime('%s', 'now') WHERE id = ?");
        query.bind(name).execute(&self.pool).await?;
        Ok(())
    }

    pub(crate) async fn give_back(&self, name: &str) -> Result<(), Error> {
        let query = "UPDATE Jobs SET status = 'Pending', lock_by = NULL, lock_at = NULL, \
            attempts = attempts + 1 WHERE lock_by = ? AND status IN ('Queued', 'Running')";
        sqlx::query(query).bind(name).execute(&self.pool).await?;
        Ok(())
    }
}

fn entry(row: &sqlx::sqlite::SqliteRow) -> Result<Entry, Error> {
    let state = match row.try_get("status")? {
        "Done" => State::Done,
        "Killed" => State::Failed,
        "Queued" | "Running" => State::Running,
        _ => State::Waiting,
    };
    Ok(Entry {
        job: serde_json::from_slice(row.try_get("job")?)?,
        state,
        runs: row.try_get("attempts")?,
        result: store::result(row.try_get("last_result")?)?,
    })
}
