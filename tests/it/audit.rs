//! The audit of what is done to many jobs, to workers and to what is set up: who, what, to what, why, and how it stood.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jobplane::proto::v1;
use jobplane::proto::v1::JobState as State;
use jobplane::runtime::Clock;

use crate::harness::{Client, JobFacts as _, SOON, Setup, eventually, seconds, spec};

crate::on_each_store! {
    a_bulk_command_and_each_of_its_jobs_are_audited
    a_sweep_and_a_purge_by_hand_are_audited_with_what_they_did
    a_drain_is_audited_for_each_process
    what_is_set_up_is_audited_with_the_fields_that_changed
}

/// What was done so, the oldest first.
async fn deeds(client: &Client, action: &str) -> Vec<v1::AuditEvent> {
    let actions = vec![action.to_owned()];
    let request = v1::ListAuditEventsRequest { actions, page_size: 1_000, ..Default::default() };
    let answer = client.admin.clone().list_audit_events(request).await.expect("deeds");
    let mut deeds = answer.into_inner().events;
    deeds.reverse();
    for deed in &deeds {
        assert_eq!((deed.action.as_str(), deed.actor.as_str()), (action, "anonymous"));
        assert!(!deed.id.is_empty() && deed.time.is_some(), "{deed:?}");
    }
    deeds
}

/// The only deed of its kind.
async fn deed(client: &Client, action: &str) -> v1::AuditEvent {
    let mut deeds = deeds(client, action).await;
    assert_eq!(deeds.len(), 1, "{deeds:?}");
    deeds.remove(0)
}

/// What it was done to: job, type, queue, quota, worker; empty of what stands for itself.
fn subject(deed: &v1::AuditEvent) -> [&str; 5] {
    [&deed.job_id, &deed.r#type, &deed.queue, &deed.quota, &deed.worker_id].map(String::as_str)
}

fn fields(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

async fn over(client: &Client, job: Option<v1::Job>) -> String {
    let id = job.expect("the job that does it").id;
    let is_over = async || client.get(&id).await.state() == State::Succeeded;
    eventually(6 * SOON, "the command is done", is_over).await;
    id
}

async fn a_bulk_command_and_each_of_its_jobs_are_audited(setup: Setup) {
    let server = setup.start().await;
    let client = server.client();
    let mut meant = BTreeSet::new();
    for _ in 0..3 {
        meant.insert(client.create(spec("sync")).await.id);
    }
    let bystander = client.create(spec("other")).await.id;
    let filter = || Some(v1::JobFilter { types: vec!["sync".to_owned()], ..Default::default() });
    let jobs = || client.jobs.clone();
    let counted = v1::BulkCancelJobsRequest {
        filter: filter(),
        validate_only: true,
        ..v1::BulkCancelJobsRequest::default()
    };
    jobs().bulk_cancel_jobs(counted).await.expect("counted");
    assert!(deeds(&client, "bulk_cancel_jobs").await.is_empty(), "to count is no deed");

    let (expected_max, reason) = (5, "a bad deploy".to_owned());
    let request = v1::BulkCancelJobsRequest {
        filter: filter(),
        expected_max,
        reason: reason.clone(),
        ..Default::default()
    };
    let began = jobs().bulk_cancel_jobs(request).await.expect("begun").into_inner();
    let cancel = over(&client, began.job).await;
    let request = v1::BulkRetryJobsRequest {
        filter: filter(),
        expected_max,
        reason: reason.clone(),
        ..Default::default()
    };
    let began = jobs().bulk_retry_jobs(request).await.expect("begun").into_inner();
    let retry = over(&client, began.job).await;
    for id in &meant {
        client.cancel(id, None).await.expect("by hand");
    }
    let request = v1::BulkDeleteJobsRequest {
        filter: filter(),
        expected_max,
        reason: reason.clone(),
        ..Default::default()
    };
    let began = jobs().bulk_delete_jobs(request).await.expect("begun").into_inner();
    let delete = over(&client, began.job).await;

    for (whole, by) in
        [("bulk_cancel_jobs", &cancel), ("bulk_retry_jobs", &retry), ("bulk_delete_jobs", &delete)]
    {
        let deed = deed(&client, whole).await;
        assert_eq!((subject(&deed), deed.reason.as_str()), ([""; 5], "a bad deploy"), "{whole}");
        assert!(deed.before.is_empty(), "{deed:?}");
        let after = &deed.after;
        assert_eq!((&after["job_id"], after["count"].as_str()), (by, "3"), "{whole}");
        assert_eq!(after["expected_max"], "5");
        assert!(after["filter.types"].contains("sync"), "{after:?}");
    }
    for (one, was, is) in [
        ("cancel_job", "PENDING", "CANCELLED"),
        ("retry_job", "CANCELLED", "PENDING"),
        ("delete_job", "CANCELLED", ""),
    ] {
        let mut of_bulk = deeds(&client, one).await;
        of_bulk.retain(|deed| deed.reason == reason);
        let told: BTreeSet<String> = of_bulk.iter().map(|deed| deed.job_id.clone()).collect();
        assert_eq!((of_bulk.len(), &told), (3, &meant), "{one}: each of them once");
        for deed in of_bulk {
            assert_eq!(deed.r#type, "sync");
            let state =
                |of: &BTreeMap<String, String>| of.get("state").cloned().unwrap_or_default();
            assert_eq!(
                (state(&deed.before).as_str(), state(&deed.after).as_str()),
                (was, is),
                "{one}"
            );
        }
    }
    assert_eq!(client.get(&bystander).await.state(), State::Pending);
    server.stop().await;
}

async fn a_sweep_and_a_purge_by_hand_are_audited_with_what_they_did(setup: Setup) {
    let clock = Clock::new();
    let server = setup.in_its_own_time(clock.clone()).start().await;
    let client = server.client();
    let stuck = client.create(v1::JobSpec {
        retry_policy: Some(v1::RetryPolicy { max_attempts: 1, ..Default::default() }),
        ..spec("sync")
    });
    let stuck = stuck.await.id;
    let request = v1::AcquireJobsRequest {
        worker_id: "w1".to_owned(),
        wait: seconds(30.0),
        lease_ttl: seconds(86_400.0),
        ..v1::AcquireJobsRequest::default()
    };
    assert_eq!(client.acquire(request).await.expect("an answer").len(), 1);
    let waits = client.create(spec("waits")).await.id;
    clock.follow(clock.now().plus(Duration::from_secs(3_600)));
    let wish = |validate_only| v1::SweepStuckJobsRequest {
        threshold: seconds(1_800.0),
        include_pending: true,
        reason: "the host hangs".to_owned(),
        validate_only,
        ..v1::SweepStuckJobsRequest::default()
    };
    assert_eq!(client.sweep(wish(true)).await.expect("counted").count, 2);
    assert!(deeds(&client, "sweep_stuck_jobs").await.is_empty(), "to count is no deed");
    assert_eq!(client.sweep(wish(false)).await.expect("swept").count, 2);

    let all = deeds(&client, "sweep_stuck_jobs").await;
    let (whole, each): (Vec<_>, Vec<_>) = all.iter().partition(|deed| deed.job_id.is_empty());
    let [whole] = whole[..] else { panic!("{all:?}") };
    assert_eq!((subject(whole), whole.reason.as_str()), ([""; 5], "the host hangs"));
    let after = &whole.after;
    let counts = ["count", "failed", "retried", "notified"].map(|name| after[name].as_str());
    assert_eq!((counts, whole.before.len()), (["2", "2", "0", "0"], 0));
    let cutoff: i64 = after["cutoff_us"].parse().expect("a moment");
    let age = clock.now().as_micros() - cutoff;
    assert!((1_800_000_000..2_400_000_000).contains(&age), "{age}");
    let of = |id: &str| *each.iter().find(|deed| deed.job_id == id).expect("each is told");
    assert_eq!(each.len(), 2);
    let (running, pending) = (of(&stuck), of(&waits));
    assert!(each.iter().all(|deed| deed.reason.ends_with("the host hangs")), "{each:?}");
    assert_eq!((running.r#type.as_str(), pending.r#type.as_str()), ("sync", "waits"));
    assert!(running.before != running.after && !running.after.is_empty(), "{running:?}");
    let states = (pending.before["state"].as_str(), pending.after["state"].as_str());
    assert_eq!(states, ("PENDING", "FAILED"));

    clock.follow(clock.now().plus(Duration::from_secs(3 * 86_400)));
    let wish = |validate_only| v1::PurgeJobsRequest {
        days_to_keep: 2,
        states: vec![State::Failed.into()],
        reason: "the disk is full".to_owned(),
        validate_only,
    };
    let purge = async |wish| client.admin.clone().purge_jobs(wish).await.expect("an answer");
    assert!(purge(wish(true)).await.into_inner().count >= 1);
    assert!(deeds(&client, "purge_jobs").await.is_empty(), "to count is no deed");
    let purged = purge(wish(false)).await.into_inner();
    let deed = deed(&client, "purge_jobs").await;
    assert_eq!((subject(&deed), deed.reason.as_str()), ([""; 5], "the disk is full"));
    assert_eq!((deed.before.len(), &deed.after["jobs"]), (0, &purged.count.to_string()));
    let cutoff = purged.cutoff_time.expect("a moment");
    let cutoff = cutoff.seconds * 1_000_000 + i64::from(cutoff.nanos / 1_000);
    assert_eq!(deed.after["cutoff_us"], cutoff.to_string());
    assert!(client.try_get(&waits).await.is_err());
    server.abandon().await;
}

async fn a_drain_is_audited_for_each_process(setup: Setup) {
    let server = setup.start().await;
    let client = server.client();
    let (one, other) = (server.worker("w1").connect().await, server.worker("w1").connect().await);
    let bystander = server.worker("w2").connect().await;
    client.drain("w1", 90.0).await.expect("drained");
    let told = deeds(&client, "drain_worker").await;
    let processes: BTreeSet<&str> = told.iter().map(|deed| deed.instance_id.as_str()).collect();
    let meant = BTreeSet::from([one.instance_id.as_str(), other.instance_id.as_str()]);
    assert_eq!((told.len(), processes), (2, meant));
    for deed in &told {
        assert_eq!((subject(deed), deed.reason.as_str()), (["", "", "", "", "w1"], "an update"));
        assert_eq!(
            (deed.before.clone(), deed.after.clone()),
            (fields(&[]), fields(&[("grace", "90 s")]))
        );
    }
    server.stop_with((one, other, bystander)).await;
}

async fn what_is_set_up_is_audited_with_the_fields_that_changed(setup: Setup) {
    let server = setup.start().await;
    let client = server.client();
    let admin = || client.admin.clone();
    let update = |max_running, max_pending, paths: &[&str]| v1::UpdateDefaultsRequest {
        defaults: Some(v1::Defaults { max_running, max_pending, circuit: None }),
        update_mask: Some(prost_types::FieldMask {
            paths: paths.iter().map(ToString::to_string).collect(),
        }),
    };
    for _ in 0..2 {
        admin()
            .update_defaults(update(7, 9, &["max_running"]))
            .await
            .expect("changed, or as it is");
    }
    admin().update_defaults(update(8, 9, &["max_running", "max_pending"])).await.expect("changed");
    let told = deeds(&client, "update_defaults").await;
    assert_eq!(told.len(), 2, "what changes nothing is no deed: {told:?}");
    assert!(told.iter().all(|deed| subject(deed) == [""; 5] && deed.reason.is_empty()));
    assert_eq!(told[0].after, fields(&[("max_running", "7")]));
    assert_eq!(told[1].before["max_running"], "7");
    assert_eq!(told[1].after, fields(&[("max_pending", "9"), ("max_running", "8")]));

    let quota = |limit| v1::PutQuotaRequest {
        quota: Some(v1::Quota {
            name: "api".to_owned(),
            limit,
            period: v1::QuotaPeriod::Day.into(),
            ..v1::Quota::default()
        }),
    };
    admin().put_quota(quota(5)).await.expect("set up");
    admin().put_quota(quota(6)).await.expect("changed");
    admin().delete_quota(v1::DeleteQuotaRequest { name: "api".to_owned() }).await.expect("gone");
    let told = deeds(&client, "put_quota").await;
    assert!(told.iter().all(|deed| subject(deed) == ["", "", "", "api", ""]), "{told:?}");
    assert_eq!((told.len(), told[0].before.len(), told[0].after["limit"].as_str()), (2, 0, "5"));
    let changed = (told[1].before.clone(), told[1].after.clone());
    assert_eq!(changed, (fields(&[("limit", "5")]), fields(&[("limit", "6")])));
    let gone = deed(&client, "delete_quota").await;
    assert_eq!((gone.quota.as_str(), gone.before["limit"].as_str()), ("api", "6"));
    assert!(gone.after.is_empty());

    let types = || client.types.clone();
    let sync = |max_concurrent| v1::PutJobTypeRequest {
        job_type: Some(v1::JobType {
            r#type: "sync".to_owned(),
            max_concurrent,
            ..v1::JobType::default()
        }),
        ..Default::default()
    };
    types().put_job_type(sync(1)).await.expect("declared");
    types().put_job_type(sync(2)).await.expect("changed");
    let wish = v1::TriggerJobTypeRequest {
        r#type: "sync".to_owned(),
        reason: "a customer asks".to_owned(),
        ..v1::TriggerJobTypeRequest::default()
    };
    let job = types().trigger_job_type(wish).await.expect("runs").into_inner().job.expect("a job");
    client.cancel(&job.id, None).await.expect("cancelled");
    client.delete(&job.id).await.expect("deleted");
    let told = deeds(&client, "put_job_type").await;
    assert_eq!((told.len(), subject(&told[1])), (2, ["", "sync", "", "", ""]));
    let changed = (told[1].before.clone(), told[1].after.clone());
    assert_eq!(changed, (fields(&[("max_concurrent", "1")]), fields(&[("max_concurrent", "2")])));
    let mut off = sync(2);
    off.job_type.as_mut().expect("set").disabled = true;
    off.reason = "a fire".into();
    types().put_job_type(off).await.expect("disabled");
    let disabled = deeds(&client, "put_job_type").await.pop().expect("told");
    assert_eq!((disabled.reason.as_str(), disabled.after["disabled"].as_str()), ("a fire", "true"));
    types().put_job_type(sync(2)).await.expect("enabled");
    let triggered = deed(&client, "trigger_job_type").await;
    assert_eq!(triggered.reason, "a customer asks");
    assert_eq!(triggered.r#type, "sync");
    let wish = v1::DeleteJobTypeRequest { r#type: "sync".to_owned() };
    types().delete_job_type(wish).await.expect("gone");
    let gone = deed(&client, "delete_job_type").await;
    assert_eq!((subject(&gone), gone.after.len()), (["", "sync", "", "", ""], 0));
    assert_eq!(gone.before["max_concurrent"], "2");
    server.stop().await;
}
