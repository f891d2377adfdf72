use crate::domain::admission::Shares;
use crate::store::{Rule, RuleKey, RuleKind, RuleWrite};

use super::*;

fn row(key: RuleKey, json: &str) -> Rule {
    let body = match key.kind {
        RuleKind::Quota => RuleWrite::put(key.clone(), 0, &quota(json)),
        _ => RuleWrite::put(key.clone(), 0, &declared(json)),
    };
    Rule { key, revision: 1, body: body.expect("it is written").body.expect("a body") }
}

fn quota(json: &str) -> QuotaSpec {
    serde_json::from_str(json).expect("a quota")
}

fn declared(json: &str) -> crate::engine::registry::Declared {
    crate::engine::registry::Declared {
        spec: serde_json::from_str(json).expect("a type"),
        payload: None,
        create_time: crate::domain::Timestamp::default(),
        update_time: crate::domain::Timestamp::default(),
    }
}

#[test]
fn a_quota_that_cannot_be_read_is_as_it_is_known_and_else_nothing_draws_from_it() {
    let of_type =
        row(RuleKey::new(RuleKind::Type, "sync"), r#"{"type": "sync", "quota_costs": {"api": 4}}"#);
    let of_quota = row(RuleKey::new(RuleKind::Quota, "api"), r#"{"limit": 10, "period": "day"}"#);
    let spoilt = Rule { body: vec![0xc1], revision: 2, ..of_quota.clone() };
    let pair = (QueueName::default(), JobType::new("sync").expect("a name"));
    let stand = |known: &[Rule], read: Option<&Rule>| {
        let book = Arc::new(Rulebook::of_some(known, &Rulebook::default()));
        let ruling = Ruling::new(book, (0, true), std::iter::once(&pair));
        let rules = read.into_iter().chain([&of_type]);
        let rules = rules.map(|rule| (rule.key.clone(), rule.clone())).collect();
        let standing = Standing { rules, ..Standing::default() };
        let ruled = ruling.stand(&ruling.claims(), &standing, Shares::default());
        (ruled.rules.quotas.len(), ruled.unread(&pair.0, &pair.1).is_some())
    };
    let both = [of_type.clone(), of_quota.clone()];
    assert_eq!(stand(&both, Some(&of_quota)), (1, false));
    assert_eq!(stand(&both, Some(&spoilt)), (1, false), "as it is known");
    assert_eq!(stand(&both[..1], Some(&spoilt)), (0, true), "nobody knows what it allows");
    assert_eq!(stand(&both, None), (0, false), "it is gone");
}
