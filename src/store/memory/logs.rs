//! Reading and trimming logs.

use crate::domain::JobId;
use crate::domain::logs::LogRow;
use crate::store::LogQuery;

use super::Tables;

fn lines(row: &LogRow) -> u64 {
    row.entries.len() as u64 + row.dropped
}

impl Tables {
    pub(super) fn logs(&self, query: &LogQuery) -> Vec<LogRow> {
        let rows = self.logs.get(&query.job_id).map(Vec::as_slice).unwrap_or_default();
        rows.iter()
            .map(|stored| &stored.row)
            .filter(|row| row.position >= query.from_position)
            .filter(|row| query.lease_epoch.is_none_or(|epoch| row.lease_epoch == epoch))
            .take(query.limit)
            .cloned()
            .collect()
    }

    pub(super) fn log_ends(&self, ids: &[JobId]) -> Vec<(JobId, i64)> {
        let end = |id: &JobId| Some((*id, self.logs.get(id)?.last()?.row.position));
        ids.iter().filter_map(end).collect()
    }

    pub(super) fn trim_logs(&mut self, id: JobId, lease_epoch: i64, head: u64, tail: u64) -> u64 {
        let Some(rows) = self.logs.get_mut(&id) else {
            return 0;
        };
        let of_lease = || rows.iter().filter(|stored| stored.row.lease_epoch == lease_epoch);
        let total: u64 = of_lease().map(|stored| lines(&stored.row)).sum();
        let mut before = 0;
        let mut middle = Vec::new();
        for stored in of_lease() {
            let after = total - before - lines(&stored.row);
            if before >= head && after >= tail {
                middle.push(stored.row.clone());
            }
            before += lines(&stored.row);
        }
        let gone: u64 = middle.iter().map(|row| row.entries.len() as u64).sum();
        let Some(first) = middle.first().filter(|_| gone > 0) else {
            return 0;
        };
        let dropped: u64 = middle.iter().map(lines).sum();
        rows.retain_mut(|stored| {
            if stored.row.position == first.position {
                stored.row.entries.clear();
                stored.row.dropped = dropped;
                return true;
            }
            !middle.iter().any(|row| row.position == stored.row.position)
        });
        gone
    }
}
