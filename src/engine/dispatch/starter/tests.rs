//! What those are told who wish for the same name at the same time.

use crate::auth::Caller;
use crate::domain::job::Trigger;
use crate::domain::{InstanceId, WorkerName};
use crate::engine::registry::Rulebook;
use crate::store::{Claims, Standing};

use super::*;

fn wish(key: &str) -> Asked {
    let job_type = JobType::new("sync").expect("a name");
    let unique_key = key.to_owned();
    let spec = JobSpec { unique_key, ..JobSpec::new(job_type, QueueName::default()) };
    let waiter = Waiter {
        caller: Caller::anonymous(),
        worker_id: WorkerName::new("w1").expect("a name"),
        instance_id: InstanceId::new("").expect("an id"),
        queues: Vec::new(),
        types: Vec::new(),
        max_jobs: 1,
        lease_ttl: Duration::from_secs(60),
    };
    let origin = Origin {
        created_by: "tester".to_owned(),
        trigger: Trigger::Worker,
        category: None,
        skipped: None,
    };
    let wish = Wish { spec: Arc::new(spec), origin, request: None, waiter };
    Asked { wish, reply: oneshot::channel().0 }
}

#[test]
fn a_job_that_was_refused_in_the_end_is_nobody_s_duplicate() {
    let asked = [wish("one"), wish("one"), wish("two")];
    let pairs: Vec<Pair> = vec![(QueueName::default(), asked[0].wish.spec.job_type.clone())];
    let ruling = Ruling::new(Arc::new(Rulebook::default()), (0, true), pairs.iter());
    let now = Timestamp::default();
    let told = |written: [Written; 2]| {
        let mut ruled = ruling.stand(&Claims::default(), &Standing::default(), Shares::default());
        let mut names = Names::new();
        let grants = asked.iter().map(|asked| grant(&asked.wish, &mut names, &mut ruled, now));
        answers(&asked, grants.collect(), &written, now)
    };
    let [first, second, third] = told([Written::Done; 2]).try_into().expect("one each");
    let first = first.expect("started").job.id;
    assert!(matches!(second, Err(Error::DuplicateJob { holder, .. }) if holder == first));
    assert!(third.is_ok());
    let other = JobId(Uuid::from_u128(7));
    for refused in [Written::Missed, Written::KeyTaken { kind: KeyKind::Request, holder: other }] {
        let [first, second, third] = told([refused, Written::Done]).try_into().expect("one each");
        assert!(first.is_err());
        assert!(matches!(second, Err(Error::Overloaded)), "{second:?}");
        assert!(third.is_ok());
    }
}
