use crate::domain::limits::STAT_SLOT_MINUTES;
use crate::domain::stats::StatKey;
use crate::domain::{JobType, QueueName};

use super::*;

/// Thirty seconds into the third minute of a slot.
const NOW: Timestamp = Timestamp::from_micros((10_002 * 60 + 30) * 1_000_000);

fn asked(owner: &str, label: Option<(&str, &str)>) -> StatsFilter {
    let label = label.map(|(key, value)| (key.to_owned(), value.to_owned()));
    StatsFilter { owner: owner.to_owned(), label, ..StatsFilter::default() }
}

#[test]
fn figures_are_known_of_one_thing_at_a_time() {
    let team = Facet::Label { key: "team".to_owned(), value: String::new() };
    assert_eq!(asked("ann", None).facet(), Some(Facet::Owner("ann".to_owned())));
    assert_eq!(asked("", Some(("team", ""))).facet(), Some(team));
    assert_eq!(asked("ann", Some(("team", "blue"))).facet(), None);
    let types = vec![JobType::new("sync").expect("a name")];
    assert_eq!(StatsFilter { types, ..asked("ann", None) }.facet(), None);
    assert_eq!(StatsFilter { is_void: true, ..asked("ann", None) }.facet(), None);
    assert!(!StatsFilter::default().is_of_facet());
}

#[test]
fn a_window_covers_every_slot_it_touches() {
    let slot = slot_of(NOW.minute());
    let tally = FacetTally { created: 1, ..FacetTally::default() };
    let slots: Vec<_> = (0..200).map(|ago| (slot - ago, tally)).collect();
    // The hour began in the third minute of the slot six before.
    let hour = window(&slots, NOW, HOUR);
    assert_eq!((hour.tally.created, hour.span), (7, Duration::from_secs(3_600 + 150)));
    let day = window(&slots, NOW, DAY);
    let slots_of_a_day = 1_440 / STAT_SLOT_MINUTES.unsigned_abs();
    assert_eq!(day.tally.created, slots_of_a_day + 1);
}

#[test]
fn what_was_counted_is_told_by_type_and_queue_and_in_all() {
    let key = |job_type, queue| StatKey {
        job_type: JobType::new(job_type).expect("a name"),
        queue: QueueName::new(queue).expect("a name"),
    };
    let since = |seconds| Some(NOW.minus(Duration::from_secs(seconds)));
    let mut census = Census::default();
    census.jobs.insert((key("a", "fast"), StateKind::Pending), (3, since(7)));
    census.jobs.insert((key("b", "fast"), StateKind::Pending), (4, since(9)));
    census.jobs.insert((key("a", "fast"), StateKind::Failed), (5, None));
    let stats = counted(&census, NOW);
    assert_eq!(stats.totals.counts[&StateKind::Pending], 7);
    assert_eq!(stats.by_type[&key("a", "fast").job_type].counts[&StateKind::Failed], 5);
    let fast = &stats.by_queue[&key("a", "fast").queue];
    assert_eq!(fast.oldest_pending_age, Some(Duration::from_secs(9)));
    assert!(stats.totals.lately.is_none() && !stats.is_capped);
    let many = i64::try_from(STAT_JOBS_MAX).expect("a count");
    census.jobs.insert((key("b", "slow"), StateKind::Succeeded), (many, None));
    assert!(counted(&census, NOW).is_capped);
}
