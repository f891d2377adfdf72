//! Waiting jobs whose rows cannot be read.

use jobplane::domain::{JobId, JobSpec};
use jobplane::store::{Claims, KeyCap, Probe, Store};

use super::{at, born, given, job_id, job_type, probe, queue, spec};

/// Looks at three lines, with jobs at their fronts that were spoilt.
pub async fn in_three_lines(store: &dyn Store, mut spoil: impl AsyncFnMut(JobId)) {
    let elsewhere = || JobSpec { queue: queue("other"), ..spec() };
    let capped = || JobSpec {
        job_type: job_type("capped"),
        labels: [("tenant".to_owned(), "a".to_owned())].into(),
        ..spec()
    };
    let specs = [spec(), spec(), spec(), elsewhere(), elsewhere(), capped(), capped()];
    given(store, (1..).zip(specs).map(|(number, spec)| born(number, spec, at(number))).collect())
        .await;
    for number in [1, 2, 6] {
        spoil(job_id(number)).await;
    }
    let mut round = store.begin_round(&Claims::default()).await.expect("a round");
    let cap = Some(KeyCap { label: "tenant".to_owned(), max: 9 });
    let probes = [
        Probe { job_type: job_type("capped"), cap, ..probe(2) },
        probe(3),
        Probe { queue: queue("other"), ..probe(1) },
    ];
    let unread = round.look(&probes, at(10)).await.expect("a look");
    let line = |probe: &Probe| (probe.queue.clone(), probe.job_type.clone());
    assert_eq!(unread, [(line(&probes[0]), 1), (line(&probes[1]), 2)].into());
    let mut found: Vec<JobId> = round.candidates().iter().map(|job| job.id).collect();
    found.sort_unstable();
    assert_eq!(found, [3, 4, 7].map(job_id));
    round.abandon().await;
}
