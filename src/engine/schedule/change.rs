//! What a new declaration does to the cursor of its schedule.

use crate::domain::Timestamp;
use crate::domain::limits::RETENTION_MIN;
use crate::domain::schedule::{Cursor, Gap, Side};
use crate::engine::error::Result;
use crate::engine::registry::Definition;
use crate::store::{RuleKey, RuleKind, RuleWrite};

/// Where the cursor stands after the declaration changed; `held` is its row so far: the revision, 0 if there is none, and
/// what it says, if that can be read. It is written whenever there is a schedule, also one that does not act from now on:
/// whoever fires by the declaration before finds it changed.
pub(in crate::engine) fn cursor_write(
    before: Option<&Definition>,
    after: &Definition,
    held: (i64, Option<Cursor>),
    now: Timestamp,
) -> Result<Option<RuleWrite>> {
    let key = RuleKey::new(RuleKind::Schedule, after.declared.spec.job_type.as_str());
    let (revision, cursor) = held;
    if after.declared.spec.schedule.is_none() {
        return Ok((revision > 0).then(|| RuleWrite::delete(key, revision)));
    }
    // What another kind of scheduler was to start is not made up for.
    let is_expected = |of: &Definition| of.declared.spec.expected.is_some();
    let before = before.filter(|before| is_expected(before) == is_expected(after));
    // Runs that came may have been deleted since: nobody can judge what was owed.
    let rested = |gap: Gap| gap.until.is_none() && now.since(gap.from) > RETENTION_MIN;
    let cursor = cursor.filter(|it| !is_expected(after) || !it.gap.is_some_and(rested));
    let cursor = match (cursor, before.and_then(side), side(after)) {
        (Some(cursor), Some(before), Some(after)) => cursor.after_change(before, after, now),
        _ => Cursor::at(now),
    };
    Ok(Some(RuleWrite::put(key, revision, &cursor)?))
}

fn side(of: &Definition) -> Option<Side<'_>> {
    let acts = of.active_schedule().is_some();
    of.schedule.as_ref().map(|schedule| Side { schedule, acts })
}
