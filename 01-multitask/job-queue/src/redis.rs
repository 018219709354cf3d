//! The queue in Redis.

use crate::{Entry, Error, Job, State, entry};
use ::redis::{Client, RedisError, Script, aio::ConnectionManagerConfig, cmd, pipe};
use apalis::prelude::{Status, TaskId};
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

/// apalis: no time at all would be to mean forever, and means that the key is forgotten at once.
const KEYS_ARE_KEPT: Duration = Duration::from_secs(10 * 365 * 86_400);

/// How many of a thing one message holds: Lua unpacks no more than some 8,000.
const BATCH: usize = 1_000;

/// Moves jobs whose time has come to those that wait. One that is later than the second time was
/// stored before the clock was set back: its time has come, too.
const PROMOTE: &str = "\
    local due = redis.call('ZRANGEBYSCORE', KEYS[1], 0, ARGV[1], 'LIMIT', 0, ARGV[3]) \
    if #due == 0 then \
        due = redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[2], '+inf', 'LIMIT', 0, ARGV[3]) \
    end \
    if #due > 0 then \
        redis.call('RPUSH', KEYS[2], unpack(due)) \
        redis.call('ZREM', KEYS[1], unpack(due)) \
    end \
    return #due";

/// Says that a worker is alive. One that was last seen in the future died before the clock was set
/// back: it is waited for from now on.
const BEAT: &str = "\
    redis.call('ZADD', KEYS[1], 'XX', ARGV[1], ARGV[3]) \
    for _, worker in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[2], '+inf')) do \
        redis.call('ZADD', KEYS[1], ARGV[1], worker) \
    end";

/// Takes from a worker what it holds, and removes it from the list of workers.
const GIVE_BACK: &str = "\
    for _, id in ipairs(redis.call('SMEMBERS', KEYS[1])) do \
        redis.call('RPUSH', KEYS[2], id) \
        redis.call('HSET', KEYS[3] .. ':' .. id, 'status', 'Pending') \
    end \
    redis.call('DEL', KEYS[1], KEYS[5]) \
    redis.call('ZREM', KEYS[4], ARGV[1])";

/// Keeps a job that cannot be read as failed, if the worker still holds it.
const SET_ASIDE: &str = "\
    if redis.call('SREM', KEYS[1], ARGV[1]) == 1 then \
        if redis.call('TYPE', KEYS[3]).ok ~= 'hash' then \
            redis.call('DEL', KEYS[3]) \
        end \
        redis.call('HSET', KEYS[3], 'status', 'Killed', 'result', ARGV[2]) \
        redis.call('SADD', KEYS[2], ARGV[1]) \
    end";

impl Redis {
    pub(crate) async fn open(url: &str, queue: &str) -> Result<Redis, Error> {
        // The library's half a second is little for a server that writes to the disk before it
        // answers.
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(Duration::from_secs(10)))
            .set_connection_timeout(Some(Duration::from_secs(5)))
            .set_max_delay(Duration::from_secs(1))
            .set_number_of_retries(3);
        let expected = "expected redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]";
        let client = Client::open(url).map_err(|_| format!("it is invalid; {expected}"))?;
        let connection = client.get_connection_manager_with_config(config).await?;
        Ok(Redis { connection, queue: queue.into() })
    }

    pub(crate) fn storage(&self, config: Config) -> RedisStorage<Vec<u8>> {
        RedisStorage::new(self.connection.clone()).with_config(config)
    }

    pub(crate) fn config(&self) -> Config {
        Config::default().queue(&self.queue).idempotency_ttl(Some(KEYS_ARE_KEPT)).emit_events(false)
    }

    pub(crate) async fn push(&self, jobs: &[Job]) -> Result<usize, Error> {
        let tasks = entry::tasks(jobs)?;
        let config = self.config();
        let (now, later) = push_tasks(&mut self.connection.clone(), &config, &tasks).await?;
        self.promote().await?;
        Ok((now + later) as usize)
    }

    /// apalis: every job, also one to be run now, is first put among those with a time; all that
    /// are due are moved in one step; and more than Lua can unpack are moved never. So they are
    /// moved here.
    pub(crate) async fn promote(&self) -> Result<(), Error> {
        let script = Script::new(PROMOTE);
        let mut call = script.key(self.config().scheduled_jobs_set());
        let now = entry::now();
        call.key(self.config().active_jobs_list()).arg(now).arg(now + entry::LATEST).arg(BATCH);
        while call.invoke_async::<usize>(&mut self.connection.clone()).await? == BATCH {}
        Ok(())
    }

    pub(crate) async fn entries(&self) -> Result<Vec<Entry>, Error> {
        let (config, mut connection) = (self.config(), self.connection.clone());
        let all = |command: &str, key: String| {
            let mut command = cmd(command);
            command.arg(key);
            let mut connection = connection.clone();
            async move { command.query_async::<Vec<Vec<u8>>>(&mut connection).await }
        };
        let mut workers = cmd("ZRANGE");
        workers.arg(config.workers_set()).arg(0).arg(-1);
        let workers: Vec<Vec<u8>> = workers.query_async(&mut connection.clone()).await?;
        let mut running = HashSet::new();
        for worker in workers {
            running.extend(all("SMEMBERS", self.held_by(&String::from_utf8_lossy(&worker))).await?);
        }
        let mut jobs: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        // A name in one of the lists that has no job behind it is a job, too: one that cannot be
        // read.
        let failed = all("SMEMBERS", config.dead_jobs_set()).await?;
        let mut waiting = cmd("LRANGE");
        waiting.arg(config.active_jobs_list()).arg(0).arg(-1);
        let waiting: Vec<Vec<u8>> = waiting.query_async(&mut connection.clone()).await?;
        for id in failed.into_iter().chain(waiting).chain(running.iter().cloned()) {
            jobs.insert(id, Vec::new());
        }
        let stored = all("HGETALL", config.job_data_hash()).await?;
        let mut stored = stored.into_iter();
        while let (Some(id), Some(job)) = (stored.next(), stored.next()) {
            jobs.insert(id, job);
        }
        let jobs: Vec<_> = jobs.into_iter().collect();
        let mut entries = Vec::with_capacity(jobs.len());
        for jobs in jobs.chunks(BATCH) {
            let mut ask = pipe();
            ask.ignore_errors();
            for (id, _) in jobs {
                ask.cmd("HMGET").arg(self.meta(id)).arg(&["status", "attempts", "result"]);
            }
            let metas: Vec<Result<Meta, RedisError>> = ask.query_async(&mut connection).await?;
            for ((id, job), meta) in jobs.iter().zip(metas) {
                entries.push(entry(id, job, meta.unwrap_or_default(), running.contains(id)));
            }
        }
        Ok(entries)
    }

    /// apalis: the number of a run is stored when the run is over, so a job that kills its worker
    /// would begin with the same number forever.
    pub(crate) async fn begin(&self, id: &str, run: u32) -> Result<(), Error> {
        let mut command = cmd("HSET");
        command.arg(self.meta(id.as_bytes())).arg("attempts").arg(run);
        command.exec_async(&mut self.connection.clone()).await?;
        Ok(())
    }

    pub(crate) async fn beat(&self, name: &str) -> Result<(), Error> {
        let (script, now) = (Script::new(BEAT), entry::now());
        let mut call = script.key(self.config().workers_set());
        call.arg(now).arg(now + entry::LATEST).arg(name);
        call.invoke_async::<()>(&mut self.connection.clone()).await?;
        self.promote().await
    }

    pub(crate) async fn give_back(
        &self,
        name: &str,
        failed: bool,
    ) -> Result<Vec<(Vec<u8>, String)>, Error> {
        let config = self.config();
        let aside = if failed { self.set_aside(name).await? } else { Vec::new() };
        let script = Script::new(GIVE_BACK);
        let mut call = script.key(self.held_by(name));
        call.key(config.active_jobs_list()).key(config.job_meta_hash()).key(config.workers_set());
        call.key(format!("{}:workers:metadata:{name}", self.queue));
        call.arg(name).invoke_async::<()>(&mut self.connection.clone()).await?;
        Ok(aside)
    }

    /// apalis: a job that it cannot read ends the worker that has fetched it, and then each other
    /// worker.
    async fn set_aside(&self, name: &str) -> Result<Vec<(Vec<u8>, String)>, Error> {
        let (config, mut connection) = (self.config(), self.connection.clone());
        let mut held = cmd("SMEMBERS");
        let held: Vec<Vec<u8>> = held.arg(self.held_by(name)).query_async(&mut connection).await?;
        let mut aside = Vec::new();
        for id in held {
            let Some(reason) = self.unreadable(&id).await? else { continue };
            let script = Script::new(SET_ASIDE);
            let mut call = script.key(self.held_by(name));
            call.key(config.dead_jobs_set()).key(self.meta(&id));
            call.arg(&id).arg(entry::failure(&reason));
            call.invoke_async::<()>(&mut connection).await?;
            aside.push((id, reason));
        }
        Ok(aside)
    }

    /// Why the library cannot read this job, if it cannot.
    async fn unreadable(&self, id: &[u8]) -> Result<Option<String>, Error> {
        let mut connection = self.connection.clone();
        let mut stored = cmd("HEXISTS");
        stored.arg(self.config().job_data_hash()).arg(id);
        if !stored.query_async::<bool>(&mut connection).await? {
            return Ok(Some("cannot be read: nothing is stored for it".into()));
        }
        let mut meta = cmd("HGETALL");
        let meta = meta.arg(self.meta(id)).query_async::<Vec<Vec<u8>>>(&mut connection).await;
        let meta = match meta {
            Ok(meta) => meta,
            Err(error) if error.code() == Some("WRONGTYPE") => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        Ok(unreadable(id, &meta).map(|what| format!("cannot be read: {what}")))
    }

    /// The key of the set of jobs that a worker holds.
    fn held_by(&self, worker: &str) -> String {
        format!("{}:{worker}", self.config().inflight_jobs_set())
    }

    /// The key of what is known of a job.
    fn meta(&self, id: &[u8]) -> Vec<u8> {
        [self.config().job_meta_hash().as_bytes(), b":", id].concat()
    }
}

/// What is wrong with a job's name, or with what is known of it: names and values in turn.
fn unreadable(id: &[u8], meta: &[Vec<u8>]) -> Option<String> {
    if str::from_utf8(id).ok().and_then(|id| id.parse::<TaskId>().ok()).is_none() {
        return Some("its id is invalid".into());
    }
    if meta.iter().any(|text| str::from_utf8(text).is_err()) {
        return Some("what is stored about it is not UTF-8".into());
    }
    let value = |name: &str| {
        let pair = meta.as_chunks::<2>().0.iter().find(|[key, _]| key == name.as_bytes());
        pair.and_then(|[_, value]| str::from_utf8(value).ok())
    };
    let is_number = |name| value(name).is_some_and(|value| value.parse::<u32>().is_ok());
    let wrong = ["attempts", "max_attempts"].into_iter().find(|name| !is_number(name));
    let wrong = wrong.or_else(|| {
        let status = value("status").and_then(|status| status.parse::<Status>().ok());
        status.is_none().then_some("status")
    });
    wrong.map(|name| format!("its {name} is invalid"))
}

/// Status, runs, result.
type Meta = (Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>);

fn entry(id: &[u8], job: &[u8], (status, runs, result): Meta, is_held: bool) -> Entry {
    let state = match status.as_deref() {
        Some(b"Done") => State::Done,
        Some(b"Killed") => State::Failed,
        // apalis: the status of a job that was taken away from a dead worker stays `Running`.
        _ if is_held => State::Running,
        _ => State::Waiting,
    };
    let runs = runs.and_then(|runs| str::from_utf8(&runs).ok()?.parse().ok());
    Entry {
        id: id.to_owned(),
        job: Job::decode(job),
        state,
        runs: runs.unwrap_or(0),
        result: entry::result(result.as_deref()),
    }
}
