use super::*;
use crate::proto::v1::QuotaUsage;

fn set(name: &str) -> Set {
    Set {
        name: name.to_owned(),
        limit: None,
        period: None,
        time_zone: None,
        on_exhausted: None,
        time: Limit { timeout: None },
    }
}

#[test]
fn what_is_not_named_stays_as_it_is() {
    let held = Quota {
        name: "api".to_owned(),
        limit: 5,
        period: QuotaPeriod::Month.into(),
        time_zone: "Europe/Berlin".to_owned(),
        on_exhausted: QuotaExhausted::Skip.into(),
        usage: None,
    };
    let raised = Set { limit: Some(9), ..set("api") }.over(Some(held.clone())).unwrap();
    assert_eq!(raised, Quota { limit: 9, ..held.clone() });
    let all = Set {
        limit: Some(1),
        period: Some(QuotaPeriod::Hour),
        time_zone: Some(String::new()),
        on_exhausted: Some(QuotaExhausted::Wait),
        ..set("api")
    };
    let changed = all.over(Some(held)).unwrap();
    assert_eq!(
        (changed.period(), changed.on_exhausted()),
        (QuotaPeriod::Hour, QuotaExhausted::Wait)
    );
    assert_eq!((changed.limit, changed.time_zone.as_str()), (1, ""));
}

#[test]
fn a_new_quota_has_a_limit_and_the_period_of_files() {
    let new = Set { limit: Some(9), ..set("api") }.over(None).unwrap();
    assert_eq!((new.limit, new.period()), (9, QuotaPeriod::Day));
    let refused = Set { period: Some(QuotaPeriod::Week), ..set("api") }.over(None).unwrap_err();
    assert!(refused.lines()[0].starts_with("--limit: there is no quota api"), "{refused:?}");
}

#[test]
fn a_quota_is_told_in_a_line_and_with_who_draws_from_it() {
    let usage = QuotaUsage { used: 3, ..QuotaUsage::default() };
    let quota = Quota {
        name: "api".to_owned(),
        limit: 10_000,
        period: QuotaPeriod::Hour.into(),
        on_exhausted: QuotaExhausted::Skip.into(),
        usage: Some(usage),
        ..Quota::default()
    };
    let text = "quota api allows 10,000 units an hour (UTC), then jobs are skipped; 3 are used";
    assert_eq!(said(&quota), text);
    let costing = |name: &str, of: &str, cost| JobType {
        r#type: name.to_owned(),
        quota_costs: [(of.to_owned(), cost)].into(),
        ..JobType::default()
    };
    let types =
        [costing("sync", "api", 1_000), costing("other", "web", 7), costing("probe", "api", 1)];
    assert_eq!(drawn_by(&quota, &types), "sync 1,000, probe 1");
    assert_eq!(drawn_by(&Quota::default(), &types), "");
}
