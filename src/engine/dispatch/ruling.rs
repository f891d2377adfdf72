//! The rules that starts go by: which concern some pairs of queue and type, how they stand in a round, and
//! what a round changed of them.

mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::admission::{Candidate, QueueRules, Rules, Shares, TypeRules};
use crate::domain::circuit::CircuitState;
use crate::domain::definitions::ServerDefaults;
use crate::domain::ids::QuotaName;
use crate::domain::job_type::{JobTypeSpec, TypeState};
use crate::domain::queue::QueueSettings;
use crate::domain::quota::{Quota, QuotaSpec, QuotaState};
use crate::domain::validate::Violations;
use crate::domain::{Job, JobSpec, JobType, QueueName};
use crate::store::{self, Claims, KeyCap, Rule, RuleKey, RuleKind, RuleWrite, Standing};

use super::super::registry::{
    DEFAULTS, Definition, Registry, Rulebook, readable, smaller_bound, tell_unread,
};
use super::line::Pair;

/// The rules that concern some pairs, as this server knows them.
pub(in super::super) struct Ruling {
    book: Arc<Rulebook>,
    /// Jobs that may run on all servers at once, as this one was told; 0 = no cap.
    max_running: u32,
    /// Others write declarations, too: what is known of them here may be old.
    is_shared: bool,
    queues: BTreeSet<QueueName>,
    types: BTreeSet<JobType>,
}

/// The same rules as they stand in a round.
pub(in super::super) struct Ruled {
    pub(in super::super) rules: Rules,
    before: Rules,
    definitions: BTreeMap<JobType, Arc<Definition>>,
    unread: Unread,
}

/// Queues and types whose declaration cannot be read.
#[derive(Default)]
struct Unread {
    queues: BTreeMap<QueueName, store::Error>,
    types: BTreeMap<JobType, store::Error>,
}

fn starts_alone(spec: &JobTypeSpec) -> bool {
    spec.schedule.as_ref().is_some_and(|schedule| schedule.overlap_policy.starts_alone())
}

impl Ruling {
    pub(in super::super) fn new<'a>(
        book: Arc<Rulebook>,
        (max_running, is_shared): (u32, bool),
        pairs: impl Iterator<Item = &'a Pair>,
    ) -> Self {
        let (queues, types) = pairs.cloned().unzip();
        Self { book, max_running, is_shared, queues, types }
    }

    /// Whether declarations stand otherwise than it goes by them, so that it is to begin anew. What was read of a
    /// store that others write, too, is known from then on; elsewhere what is known is what stands.
    pub(in super::super) fn is_outdated(
        &self,
        registry: &Registry,
        losses: u64,
        (claims, standing): (&Claims, &Standing),
    ) -> bool {
        if !self.is_shared {
            return !self.is_current(registry);
        }
        let is_news = |rule: &&Rule| self.book.revision(&rule.key) != Some(rule.revision);
        let read = claims.rules.iter().filter_map(|key| standing.rule(key));
        let news: Vec<Rule> = read.filter(is_news).cloned().collect();
        if news.is_empty() {
            return false;
        }
        let is_taken_up = registry.look(losses, &news);
        let now = registry.book();
        // What cannot be read is not taken up, and nothing starts by it.
        !is_taken_up || news.iter().any(|rule| now.revision(&rule.key) == Some(rule.revision))
    }

    /// Whether declarations are what this server knows of them now.
    fn is_current(&self, registry: &Registry) -> bool {
        let (known, now) = (&self.book, &registry.book());
        let definition = |book: &Rulebook, name| book.types.get(name).map(Arc::as_ptr);
        let costs = |name| known.spec(name).into_iter().flat_map(|spec| spec.quota_costs.keys());
        let quota = |name| known.quotas.get(name) == now.quotas.get(name);
        Arc::ptr_eq(known, now)
            || known.defaults == now.defaults
                && self.queues.iter().all(|name| known.queues.get(name) == now.queues.get(name))
                && self.types.iter().all(|name| definition(known, name) == definition(now, name))
                && self.types.iter().flat_map(costs).all(quota)
    }

    /// What a round has to keep from others, and to know. Nothing, if starts from these pairs are free.
    pub(in super::super) fn claims(&self) -> Claims {
        let mut claims = Claims::default();
        if self.book.defaults.revision > 0 {
            claims.rules.insert(RuleKey::new(RuleKind::Type, DEFAULTS));
        }
        if self.book.max_running_in_all(self.max_running) > 0 {
            claims.keys.insert(RuleKey::all_starts());
            claims.rules.insert(RuleKey::new(RuleKind::Type, DEFAULTS));
            claims.running = true;
            // Those of the server's own type are not counted.
            claims.types.insert(JobType::bulk());
        }
        for queue in &self.queues {
            let Some(QueueSettings { max_running, start_rate, .. }) = self.settings(queue) else {
                continue;
            };
            claims.rules.insert(RuleKey::new(RuleKind::Queue, queue.as_str()));
            if *max_running > 0 || start_rate.is_some() {
                claims.keys.insert(RuleKey::starts_from(queue));
                claims.queues.insert(queue.clone());
            }
        }
        for job_type in &self.types {
            self.claim_type(job_type, &mut claims);
        }
        if !self.is_shared {
            // Nobody else writes declarations: they stand as they are known.
            claims.rules.clear();
        }
        claims
    }

    fn claim_type(&self, job_type: &JobType, claims: &mut Claims) {
        // While it is closed, a breaker lets everything go: its last word is soon enough known.
        let is_open = self.book.circuits.get(job_type).is_some_and(CircuitState::is_open);
        if is_open && self.book.circuit(job_type).max_failures > 0 {
            claims.keys.insert(RuleKey::new(RuleKind::Circuit, job_type.as_str()));
        }
        let Some(spec) = self.book.spec(job_type) else { return };
        let counts = spec.max_concurrent > 0 || starts_alone(spec);
        let races = counts || spec.concurrency_key.is_some() || spec.start_rate.is_some();
        if races {
            claims.keys.insert(RuleKey::starts_of(job_type));
        }
        if counts {
            claims.types.insert(job_type.clone());
        }
        for quota in spec.quota_costs.keys() {
            claims.keys.insert(RuleKey::new(RuleKind::QuotaUse, quota.as_str()));
            claims.rules.insert(RuleKey::new(RuleKind::Quota, quota.as_str()));
        }
        claims.rules.insert(RuleKey::new(RuleKind::Type, job_type.as_str()));
    }

    /// The type and value that a job counts under once it runs, if its type is capped by a label.
    pub(in super::super) fn value(&self, spec: &JobSpec) -> Option<(JobType, String)> {
        let value = self.book.spec(&spec.job_type)?.concurrency_value(&spec.labels)?;
        Some((spec.job_type.clone(), value.to_owned()))
    }

    fn settings(&self, queue: &QueueName) -> Option<&QueueSettings> {
        self.book.queues.get(queue).map(|known| &known.what)
    }

    /// The rules as what was claimed stands; what was not is as this server knows it. Where a
    /// declaration cannot be read, nothing starts: everything else goes on.
    pub(in super::super) fn stand(
        &self,
        claims: &Claims,
        standing: &Standing,
        shares: Shares,
    ) -> Ruled {
        let own = standing.types.get(&JobType::bulk()).copied().unwrap_or(0);
        let mut rules = Rules {
            server_max: smaller_bound(self.server_max(claims, standing), self.max_running),
            server_running: standing.running.saturating_sub(own),
            keys: standing.values.clone(),
            shares,
            ..Rules::default()
        };
        let mut unread = Unread::default();
        for queue in &self.queues {
            match self.queue_rules(queue, claims, standing) {
                Ok(of_it) => rules.queues.extend(of_it.map(|of_it| (queue.clone(), of_it))),
                Err(error) => {
                    tell_unread(&RuleKey::new(RuleKind::Queue, queue.as_str()), &error);
                    unread.queues.insert(queue.clone(), error);
                }
            }
        }
        let mut definitions = BTreeMap::new();
        for job_type in &self.types {
            let definition = match self.definition(job_type, claims, standing) {
                Ok(definition) => definition,
                Err(error) => {
                    tell_unread(&RuleKey::new(RuleKind::Type, job_type.as_str()), &error);
                    unread.types.insert(job_type.clone(), error);
                    continue;
                }
            };
            let state = self.state(job_type, claims, standing);
            let spec = definition.as_ref().map(|definition| &definition.declared.spec);
            let breaker = self.book.default_circuit(job_type);
            if spec.is_some() || breaker.max_failures > 0 {
                let running = standing.types.get(job_type).copied().unwrap_or(0);
                let kind = TypeRules::new(spec, breaker, &state, running);
                rules.types.insert(job_type.clone(), kind);
            }
            for quota in spec.into_iter().flat_map(|spec| spec.quota_costs.keys()) {
                if rules.quotas.contains_key(quota) {
                    continue;
                }
                match self.quota(quota, claims, standing) {
                    Ok(found) => rules.quotas.extend(found.map(|found| (quota.clone(), found))),
                    Err(error) => {
                        tell_unread(&RuleKey::new(RuleKind::Quota, quota.as_str()), &error);
                        unread.types.insert(job_type.clone(), error);
                    }
                }
            }
            definitions.extend(definition.map(|definition| (job_type.clone(), definition)));
        }
        Ruled { before: rules.clone(), rules, definitions, unread }
    }

    /// How many jobs may run in all by what was set up; as it is known, if it cannot be read.
    fn server_max(&self, claims: &Claims, standing: &Standing) -> u32 {
        let key = RuleKey::new(RuleKind::Type, DEFAULTS);
        let known = &self.book.defaults.what;
        if !claims.rules.contains(&key) {
            return known.max_running;
        }
        let Some(rule) = standing.rule(&key) else { return 0 };
        let defaults: Option<ServerDefaults> = readable(rule);
        defaults.as_ref().unwrap_or(known).max_running
    }

    /// A quota and what is used of it. One that is gone bounds nothing; one that cannot be read is as it is known, and if
    /// it is not, nothing that draws from it starts.
    fn quota(
        &self,
        name: &QuotaName,
        claims: &Claims,
        standing: &Standing,
    ) -> store::Result<Option<(Quota, QuotaState)>> {
        let key = |kind| RuleKey::new(kind, name.as_str());
        let known = || self.book.quotas.get(name).map(|known| known.what.clone());
        let spec: Option<QuotaSpec> = match standing.rule(&key(RuleKind::Quota)) {
            Some(rule) => Some(rule.read().or_else(|error| known().ok_or(error))?),
            None if claims.rules.contains(&key(RuleKind::Quota)) => None,
            None => known(),
        };
        let quota = spec.and_then(|spec| spec.compile("quota.", &mut Violations::default()));
        let used = standing.rule(&key(RuleKind::QuotaUse)).and_then(readable);
        Ok(quota.map(|quota| (quota, used.unwrap_or_default())))
    }

    fn queue_rules(
        &self,
        queue: &QueueName,
        claims: &Claims,
        standing: &Standing,
    ) -> store::Result<Option<QueueRules>> {
        let key = RuleKey::new(RuleKind::Queue, queue.as_str());
        let settings = if claims.rules.contains(&key) {
            standing.rule(&key).map(store::Rule::read).transpose()?
        } else {
            self.settings(queue).cloned()
        };
        let Some(settings) = settings else { return Ok(None) };
        let bucket = standing.rule(&RuleKey::starts_from(queue)).and_then(readable);
        let running = standing.queues.get(queue).copied().unwrap_or(0);
        Ok(Some(QueueRules { settings, running, bucket }))
    }

    /// The declaration as it was read, or else as it is known.
    fn definition(
        &self,
        job_type: &JobType,
        claims: &Claims,
        standing: &Standing,
    ) -> store::Result<Option<Arc<Definition>>> {
        let known = self.book.types.get(job_type);
        let key = RuleKey::new(RuleKind::Type, job_type.as_str());
        if !claims.rules.contains(&key) {
            return Ok(known.cloned());
        }
        let Some(rule) = standing.rule(&key) else { return Ok(None) };
        match known.filter(|known| known.revision == rule.revision) {
            Some(known) => Ok(Some(Arc::clone(known))),
            None => Definition::of(rule).map(Arc::new).map(Some),
        }
    }

    /// How a type stands. What cannot be read begins anew: a bucket full, a breaker as it is known.
    fn state(&self, job_type: &JobType, claims: &Claims, standing: &Standing) -> TypeState {
        let start_bucket = standing.rule(&RuleKey::starts_of(job_type)).and_then(readable);
        let key = RuleKey::new(RuleKind::Circuit, job_type.as_str());
        let known = || self.book.circuits.get(job_type).cloned();
        let circuit = if claims.keys.contains(&key) {
            standing.rule(&key).and_then(|rule| readable(rule).or_else(known))
        } else {
            known()
        };
        let circuit = circuit.unwrap_or_default();
        TypeState { circuit, start_bucket, ..TypeState::default() }
    }
}

impl Ruled {
    /// Why nothing is known of starts of this type from this queue, if that is so.
    pub(in super::super) fn unread(
        &self,
        queue: &QueueName,
        job_type: &JobType,
    ) -> Option<&store::Error> {
        self.unread.queues.get(queue).or_else(|| self.unread.types.get(job_type))
    }

    /// A waiting job as the rules want to know it.
    pub(in super::super) fn candidate(&self, job: &Job) -> Option<Candidate> {
        let definition = self.definitions.get(&job.spec.job_type);
        Candidate::new(job, definition.map(|definition| &definition.declared.spec))
    }

    /// The cap by a label's value that jobs of this type are under.
    pub(in super::super) fn cap(&self, job_type: &JobType) -> Option<KeyCap> {
        let spec = &self.definitions.get(job_type)?.declared.spec;
        let key = spec.concurrency_key.as_ref().filter(|key| key.max_running > 0)?;
        Some(KeyCap { label: key.label.clone(), max: key.max_running })
    }

    /// Takes up what runs under the values of candidates.
    pub(in super::super) fn learn(&mut self, standing: &Standing) {
        self.rules.keys.clone_from(&standing.values);
    }

    /// Whether starts changed anything that is to be written with them.
    pub(in super::super) fn is_changed(&self) -> bool {
        let buckets = |rules: &Rules| {
            let queues = rules.queues.values().map(|queue| queue.bucket);
            queues.chain(rules.types.values().map(|kind| kind.bucket)).collect::<Vec<_>>()
        };
        buckets(&self.rules) != buckets(&self.before)
            || self.rules.quotas != self.before.quotas
            || self.circuits().next().is_some()
    }

    /// The breakers that starts changed.
    pub(in super::super) fn circuits(&self) -> impl Iterator<Item = (&JobType, &CircuitState)> {
        let kinds = self.rules.types.iter();
        kinds.filter_map(|(name, kind)| {
            let before = self.before.types.get(name)?;
            (before.circuit_state != kind.circuit_state).then_some((name, &kind.circuit_state))
        })
    }

    /// What starts changed: to be written with them.
    pub(in super::super) fn changed(&self, standing: &Standing) -> store::Result<Vec<RuleWrite>> {
        let revision = |key: &RuleKey| standing.rule(key).map_or(0, |rule| rule.revision);
        let mut writes = Vec::new();
        for (name, queue) in &self.rules.queues {
            let before = self.before.queues.get(name).and_then(|before| before.bucket);
            if let Some(bucket) = queue.bucket.filter(|bucket| before != Some(*bucket)) {
                let key = RuleKey::starts_from(name);
                writes.push(RuleWrite::put(key.clone(), revision(&key), &bucket)?);
            }
        }
        for (name, kind) in &self.rules.types {
            let before = self.before.types.get(name);
            let bucket_before = before.and_then(|before| before.bucket);
            if let Some(bucket) = kind.bucket.filter(|bucket| bucket_before != Some(*bucket)) {
                let key = RuleKey::starts_of(name);
                writes.push(RuleWrite::put(key.clone(), revision(&key), &bucket)?);
            }
        }
        for (name, state) in self.circuits() {
            let key = RuleKey::new(RuleKind::Circuit, name.as_str());
            writes.push(RuleWrite::put(key.clone(), revision(&key), state)?);
        }
        for (name, (_, used)) in &self.rules.quotas {
            if self.before.quotas.get(name).is_some_and(|(_, before)| before != used) {
                let key = RuleKey::new(RuleKind::QuotaUse, name.as_str());
                writes.push(RuleWrite::put(key.clone(), revision(&key), used)?);
            }
        }
        Ok(writes)
    }
}

#[cfg(test)]
mod tests;
