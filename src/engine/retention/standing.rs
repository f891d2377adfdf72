//! When the purge is due, and which server runs it: a row that all servers see and whose revision guards it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uuid::Uuid;

use crate::config::Retention;
use crate::domain::Timestamp;
use crate::domain::audit;
use crate::domain::limits::{LOOP_ROWS_MAX, PURGE_HOLD, PURGE_PAUSE_MAX};
use crate::domain::retention::PurgeTiming;
use crate::domain::written::is_default;
use crate::engine::Engine;
use crate::engine::error::Result;
use crate::engine::pipeline::{RuleChange, RulesChanged, Work};
use crate::runtime::Clock;
use crate::store::{Rule, RuleKey, RuleKind, RuleWrite};

use super::LOOP;
use super::walk::{By, Deed, Leave, Walk};

/// How the purge stands, as its row has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Standing {
    /// When the first server looked.
    pub(super) since: Timestamp,
    /// When the last run that came to its end began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last: Option<Timestamp>,
    /// Who runs it now, and until when nobody else does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) held: Option<(Uuid, Timestamp)>,
    /// Logs of jobs that ended before this moment are gone.
    pub(super) logs_through: Timestamp,
    /// Runs in a row that left something, or were left themselves.
    #[serde(skip_serializing_if = "is_default")]
    pub(super) failures: u32,
}

impl Default for Standing {
    fn default() -> Self {
        let never = Timestamp::from_micros(i64::MIN);
        Self {
            since: Timestamp::default(),
            last: None,
            held: None,
            logs_through: never,
            failures: 0,
        }
    }
}

impl Standing {
    /// When the next run is due. Of a first one the timing is asked as of the first look, so that a server that is
    /// started again and again does not put it off each time.
    pub(super) fn due(&self, timing: &PurgeTiming) -> Timestamp {
        timing.next(self.last, self.since)
    }

    /// Who holds it, how long after a run that failed. With an archive each may leave a file, though it takes nothing
    /// away.
    fn pause(&self, archives: bool) -> Duration {
        if !archives {
            return RETRY;
        }
        let doubled = self.failures.saturating_sub(1).min(u32::BITS - 1);
        PURGE_HOLD.saturating_mul(1 << doubled).min(PURGE_PAUSE_MAX)
    }

    fn is_held(&self, now: Timestamp) -> bool {
        self.held.is_some_and(|(_, until)| until > now)
    }
}

/// The row of a run under way: renewed as it goes on, so that another server takes it up if this one dies.
struct Hold<'a> {
    engine: &'a Engine,
    revision: i64,
    standing: Standing,
    renewed: Instant,
}

impl Leave for Hold<'_> {
    async fn leave(&mut self) -> Result<bool> {
        if self.engine.shutdown.is_signalled() {
            return Ok(false);
        }
        let now = Clock::monotonic();
        if now.duration_since(self.renewed) < PURGE_HOLD / 3 {
            return Ok(true);
        }
        self.renewed = now;
        let until = self.engine.clock.now().plus(PURGE_HOLD);
        self.standing.held = Some((self.engine.replica.id, until));
        self.write().await
    }
}

impl Hold<'_> {
    /// Writes the row; `false` if another server has taken the run.
    async fn write(&mut self) -> Result<bool> {
        let written = self.engine.write_standing(self.revision, &self.standing).await?;
        self.revision += i64::from(written);
        Ok(written)
    }
}

fn key() -> RuleKey {
    RuleKey::new(RuleKind::Retention, "jobs")
}

impl Engine {
    /// Runs the purge if it is due and nobody else does. Answers a full batch if there is more to be done at once.
    pub async fn retain(&self) -> Result<u64> {
        self.write_records(None).await?;
        let settings = self.retention();
        let found = self.loop_db.read(|store| async move { store.rules_by_key(&[key()]).await });
        let now = self.clock.now();
        let Some(rule) = found.await?.pop() else {
            self.write_standing(0, &Standing { since: now, ..Standing::default() }).await?;
            return Ok(LOOP_ROWS_MAX as u64);
        };
        let standing: Standing = Rule::read(&rule)?;
        if standing.due(&settings.timing) > now || standing.is_held(now) {
            return self.give_back_room().await;
        }
        let standing = Standing { held: Some((self.replica.id, now.plus(PURGE_HOLD))), ..standing };
        let revision = rule.revision;
        let renewed = Clock::monotonic();
        let mut hold = Hold { engine: self, revision, standing, renewed };
        if !hold.write().await? {
            return Ok(0);
        }
        let ran = self.run_purge(&settings, now, &mut hold).await;
        if let Err(error) = &ran {
            self.board.tell(LOOP, format!("last run failed: {error}"));
        }
        if matches!(ran, Ok(0)) {
            hold.standing.failures = 0;
            hold.standing.held = None;
        } else {
            // Others need not try what failed here at once.
            hold.standing.failures = hold.standing.failures.saturating_add(1);
            let pause = hold.standing.pause(settings.archive.is_some());
            hold.standing.held = Some((self.replica.id, self.clock.now().plus(pause)));
        }
        let noted = hold.write().await;
        ran.and(noted).map(|_| 0)
    }

    /// Answers how many jobs it left because the store failed at each of them: they are looked at with the next run.
    async fn run_purge(
        &self,
        settings: &Retention,
        now: Timestamp,
        hold: &mut Hold<'_>,
    ) -> Result<u64> {
        let by = By::Policy(settings.policy.clone());
        let mut walk = Walk::new(self, by, Deed::Take(self.archive(now)), now);
        let mut walked = walk.jobs(hold).await;
        let through = now.minus(settings.policy.logs);
        let before = walk.left();
        if matches!(walked, Ok(true)) {
            walked = walk.logs((hold.standing.logs_through, through), hold).await;
        }
        let all_logs = walk.left() == before;
        if matches!(walked, Ok(true)) {
            walked = self.forget_bulk_rows().await.map(|()| true);
        }
        let (run, _) = walk.fared();
        let ended = matches!(walked, Ok(true));
        if ended {
            hold.standing.last = Some(now);
            if all_logs {
                hold.standing.logs_through = through.max(hold.standing.logs_through);
            }
            tracing::info!(task.name = LOOP, "purge: {}", run.summary());
        } else {
            tracing::warn!(task.name = LOOP, "purge left before its end: {}", run.summary());
        }
        self.purged(&run);
        let deed = audit::Deed::new(audit::SERVER, audit::AuditAction::Retention);
        self.record_purge(deed, &run, None).await;
        walked.map(|_| run.left)
    }

    /// Writes the row; `false` if it stands otherwise than expected.
    async fn write_standing(&self, revision: i64, standing: &Standing) -> Result<bool> {
        let writes = vec![RuleWrite::put(key(), revision, standing)?];
        let change = Box::new(RuleChange { writes, ..RuleChange::default() });
        let answer = self.pipeline.ask(|reply| Work::Rules { change, reply }).await?;
        Ok(matches!(answer, RulesChanged::Done { .. }))
    }
}

/// A run that the store cut off is taken up again after this.
const RETRY: Duration = Duration::from_secs(10);
