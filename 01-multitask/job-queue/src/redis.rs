//! The queue in Redis.

use crate::{Entry, Error, Job, State, store};
use ::redis::{Client, Script, aio::ConnectionManagerConfig, cmd, pipe};
use apalis_redis::{Config, ConnectionManager, RedisStorage, queries::push_tasks};
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

/// Its connection, which comes back by itself when it was lost, and the queue's name.
#[derive(Clone)]
pub struct Redis {
    connection: ConnectionManager,
    queue: String,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").field("queue", &self.queue).finish_non_exhaustive()
    }
}

/// apalis: no time at all would be to mean for ever, and means that the key is forgotten at once.
const KEYS_ARE_KEPT: Duration = Duration::from_secs(10 * 365 * 86_400);

/// How many of a thing one message holds: Lua unpacks no more than some 8,000.
const BATCH: usize = 1_000;

/// Moves jobs whose time has come to those that wait.
const PROMOTE: &str = "\
    local due = redis.call('ZRANGEBYSCORE', KEYS[1], 0, ARGV[1], 'LIMIT', 0, ARGV[2]) \
    if #due > 0 then \
        redis.call('RPUSH', KEYS[2], unpack(due)) \
        redis.call('ZREM', KEYS[1], unpack(due)) \
    end \
    return #due";

/// Takes from a worker what it holds, and strikes it off.
const GIVE_BACK: &str = "\
    for _, id in ipairs(redis.call('SMEMBERS', KEYS[1])) do \
        redis.call('RPUSH', KEYS[2], id) \
        redis.call('HSET', KEYS[3] .. ':' .. id, 'status', 'Pending') \
    end \
    redis.call('DEL', KEYS[1], KEYS[5]) \
    redis.call('ZREM', KEYS[4], ARGV[1])";

impl Redis {
    pub(crate) async fn open(url: &str, queue: &str) -> Result<Redis, Error> {
        // The library's half a second is little for a server that writes to the disk before it answers.
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(Duration::from_secs(10)))
            .set_connection_timeout(Some(Duration::from_secs(5)))
            .set_max_delay(Duration::from_secs(1))
            .set_number_of_retries(3);
        let connection = Client::open(url)?.get_connection_manager_with_config(config).await?;
        Ok(Redis { connection, queue: queue.into() })
    }

    pub(crate) fn storage(&self, config: Config) -> RedisStorage<Job> {
        RedisStorage::new(self.connection.clone()).with_config(config)
    }

    pub(crate) fn config(&self) -> Config {
        Config::default().queue(&self.queue).idempotency_ttl(Some(KEYS_ARE_KEPT)).emit_events(false)
    }

    pub(crate) async fn push(&self, jobs: &[Job]) -> Result<(), Error> {
        let tasks = store::tasks(jobs)?;
        push_tasks(&mut self.connection.clone(), &self.config(), &tasks).await?;
        self.promote().await
    }

    /// apalis: every job, also one to be run now, is first put among those with a time; all that are due
    /// are moved in one step; and more than Lua can unpack are moved never. So they are moved here.
    pub(crate) async fn promote(&self) -> Result<(), Error> {
        let script = Script::new(PROMOTE);
        let mut call = script.key(self.config().scheduled_jobs_set());
        call.key(self.config().active_jobs_list()).arg(store::now()).arg(BATCH);
        while call.invoke_async::<usize>(&mut self.connection.clone()).await? == BATCH {}
        Ok(())
    }

    pub(crate) async fn entries(&self) -> Result<Vec<Entry>, Error> {
        let (config, mut connection) = (self.config(), self.connection.clone());
        let workers: Vec<String> = cmd("ZRANGE")
            .arg(config.workers_set())
            .arg(0)
            .arg(-1)
            .query_async(&mut connection)
            .await?;
        let mut running = HashSet::new();
        for worker in workers {
            let key = self.held_by(&worker);
            let held: Vec<String> = cmd("SMEMBERS").arg(key).query_async(&mut connection).await?;
            running.extend(held);
        }
        let jobs: HashMap<String, Vec<u8>> =
            cmd("HGETALL").arg(config.job_data_hash()).query_async(&mut connection).await?;
        let jobs: Vec<_> = jobs.into_iter().collect();
        let mut entries = Vec::with_capacity(jobs.len());
        for jobs in jobs.chunks(BATCH) {
            let mut ask = pipe();
            for (id, _) in jobs {
                ask.cmd("HMGET").arg(self.meta(id)).arg(&["status", "attempts", "result"]);
            }
            let metas: Vec<Meta> = ask.query_async(&mut connection).await?;
            for ((id, job), meta) in jobs.iter().zip(metas) {
                entries.push(entry(job, meta, running.contains(id))?);
            }
        }
        Ok(entries)
    }

    /// apalis: the number of a run is stored when the run is over, so a job that kills its worker would begin
    /// with the same number for ever.
    pub(crate) async fn begin(&self, id: &str, run: u32) -> Result<(), Error> {
        let mut command = cmd("HSET");
        command.arg(self.meta(id)).arg("attempts").arg(run);
        command.exec_async(&mut self.connection.clone()).await?;
        Ok(())
    }

    pub(crate) async fn beat(&self, name: &str) -> Result<(), Error> {
        let mut command = cmd("ZADD");
        command.arg(self.config().workers_set()).arg("XX").arg(store::now()).arg(name);
        command.exec_async(&mut self.connection.clone()).await?;
        Ok(())
    }

    pub(crate) async fn give_back(&self, name: &str) -> Result<(), Error> {
        let config = self.config();
        let script = Script::new(GIVE_BACK);
        let mut call = script.key(self.held_by(name));
        call.key(config.active_jobs_list()).key(config.job_meta_hash()).key(config.workers_set());
        call.key(format!("{}:workers:metadata:{name}", self.queue));
        call.arg(name).invoke_async::<()>(&mut self.connection.clone()).await?;
        Ok(())
    }

    /// The key of the set of jobs that a worker holds.
    fn held_by(&self, worker: &str) -> String {
        format!("{}:{worker}", self.config().inflight_jobs_set())
    }

    /// The key of what is known of a job.
    fn meta(&self, id: &str) -> String {
        format!("{}:{id}", self.config().job_meta_hash())
    }
}

/// Status, runs, result.
type Meta = (Option<String>, Option<u32>, Option<String>);

fn entry(job: &[u8], (status, runs, result): Meta, is_held: bool) -> Result<Entry, Error> {
    let state = match status.as_deref() {
        Some("Done") => State::Done,
        Some("Killed") => State::Failed,
        // apalis: the status of a job that was taken away from a dead worker stays `Running`.
        _ if is_held => State::Running,
        _ => State::Waiting,
    };
    Ok(Entry {
        job: serde_json::from_slice(job)?,
        state,
        runs: runs.unwrap_or(0),
        result: store::result(result.as_deref())?,
    })
}
