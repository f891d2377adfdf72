//! What is told of jobs, workers and queues, and who did what.

use std::time::Duration;

use jobplane::proto::v1;
use jobplane::proto::v1::event::Facts;

use crate::harness::{Client, Fault, Refusal, Server, Shared, eventually, spec};
use crate::on_each_shared_store;

async fn ask(
    client: &Client,
    request: v1::ListEventsRequest,
) -> Result<v1::ListEventsResponse, Refusal> {
    Ok(client.admin.clone().list_events(request).await.map_err(|it| Refusal::of(&it))?.into_inner())
}

async fn events(client: &Client) -> Vec<v1::Event> {
    let request = v1::ListEventsRequest { page_size: 1_000, ..Default::default() };
    ask(client, request).await.expect("events").events
}

async fn deeds(
    client: &Client,
    request: v1::ListAuditEventsRequest,
) -> Result<v1::ListAuditEventsResponse, Refusal> {
    let answer = client.admin.clone().list_audit_events(request).await;
    Ok(answer.map_err(|it| Refusal::of(&it))?.into_inner())
}

fn names(events: &[v1::Event]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

#[tokio::test]
async fn each_end_that_matters_is_told_once() {
    let server = Server::start().await;
    let client = server.client();
    let worker = server.worker("w1").connect().await;
    client.create(spec("fine")).await;
    worker.expect_assignment().await.succeed().await.expect("taken");
    let mut twice = spec("broken");
    twice.retry_policy = Some(v1::RetryPolicy {
        max_attempts: 2,
        delays: vec![prost_types::Duration { seconds: 0, nanos: 1_000_000 }],
        ..Default::default()
    });
    twice.owner = "ann".to_owned();
    let failed = client.create(twice).await.id;
    worker.expect_assignment().await.fail("DISK_FULL").await.expect("taken");
    worker.expect_assignment().await.fail("DISK_FULL").await.expect("taken");
    worker.capacity(0);
    let mut later = spec("sync");
    later.schedule_time = Some(prost_types::Timestamp {
        seconds: server.now().as_micros() / 1_000_000 + 86_400,
        nanos: 0,
    });
    let cancelled = client.create(later).await.id;
    client.cancel(&cancelled, None).await.expect("cancelled");
    client.cancel(&cancelled, None).await.expect("cancelled already");

    let told = events(&client).await;
    assert_eq!(names(&told), ["job_failed", "job_cancelled"]);
    assert_eq!((told[0].job_id.as_str(), told[0].r#type.as_str()), (failed.as_str(), "broken"));
    assert_eq!((told[0].owner.as_str(), told[0].severity()), ("ann", v1::EventSeverity::Error));
    let Some(Facts::JobFailed(facts)) = &told[0].facts else { panic!("{told:?}") };
    assert_eq!((facts.attempts, facts.code.as_str()), (2, "DISK_FULL"));
    let Some(Facts::JobCancelled(facts)) = &told[1].facts else { panic!("{told:?}") };
    assert_eq!((facts.requested_by.as_str(), facts.reason.as_str()), ("anonymous", "enough"));
    let metrics = server.http_get("/metrics").await;
    assert!(metrics.contains(r#"jobplane_events_total{name="job_failed"} 1"#), "{metrics}");
    server.stop().await;
}

#[tokio::test]
async fn successes_are_told_if_they_are_asked_for() {
    let setup = Server::setup().with(|config| config.telling.wanted.successes = true);
    let server = setup.start().await;
    let client = server.client();
    client.create(spec("sync")).await;
    let worker = server.worker("w1").connect().await;
    worker.expect_assignment().await.succeed().await.expect("taken");
    assert_eq!(names(&events(&client).await), ["job_succeeded"]);
    server.stop().await;
}

#[tokio::test]
async fn a_lost_worker_is_told_with_what_it_held() {
    let server = Server::start().await;
    let client = server.client();
    client.create(spec("sync")).await;
    let worker = server.worker("w1").slots(1).lease(10.0).connect().await;
    worker.expect_assignment().await.progress(10.0).await;
    worker.cut();
    eventually(Duration::from_secs(60), "the worker is told lost", || async {
        names(&events(&client).await).contains(&"worker_lost")
    })
    .await;
    let told = events(&client).await;
    let lost = told.iter().find(|event| event.name == "worker_lost").expect("it is there");
    let Some(Facts::WorkerLost(facts)) = &lost.facts else { panic!("{lost:?}") };
    assert_eq!((facts.worker_id.as_str(), facts.jobs), ("w1", 1));
    assert_eq!(facts.instance_id, worker.instance_id);
    server.stop().await;
}

#[tokio::test]
async fn a_queue_whose_jobs_wait_too_long_is_told_once() {
    let setup = Server::setup().with(|config| {
        config.telling.queue_age = Duration::from_secs(1);
        config.periods.queues = Duration::from_millis(50);
    });
    let server = setup.start().await;
    let client = server.client();
    client.create(spec("sync")).await;
    eventually(Duration::from_secs(30), "the queue is told", || async {
        !events(&client).await.is_empty()
    })
    .await;
    for _ in 0..3 {
        server.engine().watch_queue_ages().await.expect("a step");
    }
    let told = events(&client).await;
    assert_eq!((names(&told), told[0].queue.as_str()), (vec!["queue_age"], "default"));
    server.stop().await;
}

#[tokio::test]
async fn events_are_followed_page_by_page_and_from_now_on() {
    let server = Server::setup().in_memory().start().await;
    let client = server.client();
    for number in 0..5 {
        let id = client.create(spec(["sync", "backup"][number % 2])).await.id;
        client.cancel(&id, None).await.expect("cancelled");
    }
    let all: Vec<String> = events(&client).await.into_iter().map(|event| event.job_id).collect();
    assert_eq!(all.len(), 5);
    let mut request = v1::ListEventsRequest { page_size: 2, ..Default::default() };
    let mut seen = Vec::new();
    loop {
        let page = ask(&client, request.clone()).await.expect("a page");
        seen.extend(page.events.into_iter().map(|event| event.job_id));
        request.after_id = page.next_id;
        if !page.more {
            break;
        }
    }
    assert_eq!(seen, all);
    let of = |types: &[&str], names: &[&str]| v1::ListEventsRequest {
        types: types.iter().map(ToString::to_string).collect(),
        names: names.iter().map(ToString::to_string).collect(),
        ..Default::default()
    };
    assert_eq!(ask(&client, of(&["backup"], &[])).await.expect("events").events.len(), 2);
    assert_eq!(ask(&client, of(&[], &["job_failed"])).await.expect("events").events.len(), 0);
    let last = v1::ListEventsRequest { tail: Some(2), page_size: 1, ..Default::default() };
    let last = ask(&client, last).await.expect("the last");
    let ids: Vec<&String> = last.events.iter().map(|event| &event.job_id).collect();
    assert_eq!(ids, all[3..].iter().collect::<Vec<_>>());
    let now = v1::ListEventsRequest { tail: Some(0), ..Default::default() };
    let now = ask(&client, now).await.expect("from now on");
    assert_eq!((now.events.len(), now.more), (0, false));
    let id = client.create(spec("sync")).await.id;
    client.cancel(&id, None).await.expect("cancelled");
    for next_id in [request.after_id, last.next_id, now.next_id] {
        let on = v1::ListEventsRequest { after_id: next_id, ..Default::default() };
        let on = ask(&client, on).await.expect("goes on");
        assert_eq!(on.events.iter().map(|event| &event.job_id).collect::<Vec<_>>(), [&id]);
    }
    server.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_wish_is_named() {
    let server = Server::setup().in_memory().start().await;
    let client = server.client();
    let other = Server::setup().in_memory().start().await;
    let foreign = ask(&other.client(), v1::ListEventsRequest::default()).await.expect("events");
    let request = v1::ListEventsRequest {
        names: vec!["job_failed".to_owned(), "job_bored".to_owned()],
        types: vec!["no type".to_owned()],
        after_id: foreign.next_id.clone(),
        page_size: 1_001,
        tail: Some(3),
    };
    let refused = ask(&client, request).await.expect_err("all of it is wrong");
    assert_eq!(refused.fields, ["names[1]", "types[0]", "page_size", "tail"]);
    for (request, field) in [
        (v1::ListEventsRequest { after_id: foreign.next_id, ..Default::default() }, "after_id"),
        (v1::ListEventsRequest { after_id: "17".to_owned(), ..Default::default() }, "after_id"),
        (v1::ListEventsRequest { tail: Some(-1), ..Default::default() }, "tail"),
        (v1::ListEventsRequest { tail: Some(1_001), ..Default::default() }, "tail"),
    ] {
        let refused = ask(&client, request).await.expect_err(field);
        assert_eq!(
            (refused.reason.as_str(), refused.fields),
            ("INVALID_FIELD", vec![field.to_owned()])
        );
    }
    let moment = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let request = v1::ListAuditEventsRequest {
        actor: "a".repeat(300),
        job_id: "7".to_owned(),
        r#type: "no type".to_owned(),
        actions: vec!["look_away".to_owned()],
        time_after: moment(9),
        time_before: moment(8),
        page_size: -1,
        ..Default::default()
    };
    let mut refused = deeds(&client, request).await.expect_err("all of it is wrong").fields;
    refused.sort();
    let wrong = ["actions[0]", "actor", "job_id", "page_size", "time_before", "type"];
    assert_eq!(refused, wrong);
    let request = v1::ListAuditEventsRequest { page_token: "x".to_owned(), ..Default::default() };
    let refused = deeds(&client, request).await.expect_err("no token");
    assert_eq!(refused.reason, "INVALID_PAGE_TOKEN");
    other.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn the_audit_tells_who_did_what_and_how_it_stood() {
    let server = Server::start().await;
    let client = server.client();
    let id = client.create(spec("sync")).await.id;
    client.cancel(&id, None).await.expect("cancelled");
    client.cancel(&id, None).await.expect("nothing changes");
    client.retry(&id, false).await.expect("runs again");
    client.cancel(&id, None).await.expect("cancelled");
    client.delete(&id).await.expect("deleted");
    client.delete(&id).await.expect_err("it is gone");
    let queue = v1::Queue {
        name: "bulk".to_owned(),
        paused: true,
        pause_reason: "disk".to_owned(),
        ..Default::default()
    };
    let paths = vec!["paused".to_owned(), "pause_reason".to_owned()];
    let mask = Some(prost_types::FieldMask { paths });
    let update = v1::UpdateQueueRequest { queue: Some(queue), update_mask: mask };
    client.admin.clone().update_queue(update.clone()).await.expect("paused");
    client.admin.clone().update_queue(update).await.expect("nothing changes");

    let all = deeds(&client, v1::ListAuditEventsRequest::default()).await.expect("deeds").events;
    let actions: Vec<&str> = all.iter().map(|deed| deed.action.as_str()).collect();
    let wanted = ["update_queue", "delete_job", "cancel_job", "retry_job", "cancel_job"];
    assert_eq!(actions, wanted);
    assert!(all.iter().all(|deed| deed.actor == "anonymous"));
    let (paused, deleted, first) = (&all[0], &all[1], &all[4]);
    assert_eq!((paused.queue.as_str(), paused.after["pause_reason"].as_str()), ("bulk", "disk"));
    // What is unset and what is left out are the same.
    assert_eq!((paused.before.len(), paused.after["paused"].as_str()), (0, "true"));
    assert_eq!((deleted.before["state"].as_str(), deleted.after.len()), ("CANCELLED", 0));
    assert_eq!((first.job_id.as_str(), first.r#type.as_str()), (id.as_str(), "sync"));
    assert_eq!(
        (first.before["state"].as_str(), first.after["state"].as_str()),
        ("PENDING", "CANCELLED")
    );
    assert_eq!(first.reason, "enough");

    // Found by each field, and page by page; a page's token is good for its own wish.
    let of_job = v1::ListAuditEventsRequest { job_id: id.clone(), ..Default::default() };
    assert_eq!(deeds(&client, of_job).await.expect("deeds").events, all[1..]);
    let of_type = v1::ListAuditEventsRequest {
        r#type: "sync".to_owned(),
        actions: vec!["retry_job".to_owned()],
        ..Default::default()
    };
    assert_eq!(deeds(&client, of_type).await.expect("deeds").events, all[3..4]);
    let nobody = v1::ListAuditEventsRequest { actor: "eve".to_owned(), ..Default::default() };
    assert_eq!(deeds(&client, nobody).await.expect("deeds").events, []);
    let mut paged = Vec::new();
    let mut wish = v1::ListAuditEventsRequest { page_size: 2, ..Default::default() };
    loop {
        let page = deeds(&client, wish.clone()).await.expect("a page");
        paged.extend(page.events);
        if page.next_page_token.is_empty() {
            break;
        }
        wish.page_token = page.next_page_token;
    }
    assert_eq!(paged, all);
    wish.actor = "anonymous".to_owned();
    let refused = deeds(&client, wish).await.expect_err("made for another wish");
    assert_eq!(refused.reason, "INVALID_PAGE_TOKEN");
    server.stop().await;
}

#[tokio::test]
async fn an_answer_that_got_lost_leaves_one_deed() {
    let server = Server::start().await;
    let client = server.client();
    let id = client.create(spec("sync")).await.id;
    server.faults.plan(Fault::AnswerLost, |batch| !batch.audit.is_empty());
    client.cancel(&id, None).await.expect("it is found to have happened");
    let told = events(&client).await;
    assert_eq!(names(&told), ["job_cancelled"]);
    let all = deeds(&client, v1::ListAuditEventsRequest::default()).await.expect("deeds").events;
    assert_eq!(all.len(), 1);
    server.stop().await;
}

async fn what_one_server_tells_is_followed_at_another(store: Shared) {
    let first = Server::setup().over(store).start().await;
    let second = first.beside().await;
    let (here, there) = (first.client(), second.client());
    let start = v1::ListEventsRequest { tail: Some(0), ..Default::default() };
    let mut after_id = ask(&there, start).await.expect("events").next_id;
    for client in [&here, &there, &here] {
        let id = client.create(spec("sync")).await.id;
        client.cancel(&id, None).await.expect("cancelled");
        let on = v1::ListEventsRequest { after_id: after_id.clone(), ..Default::default() };
        let page = ask(&there, on).await.expect("goes on");
        assert_eq!(page.events.iter().map(|event| &event.job_id).collect::<Vec<_>>(), [&id]);
        after_id = page.next_id;
    }
    let all = deeds(&here, v1::ListAuditEventsRequest::default()).await.expect("deeds").events;
    assert_eq!(all.len(), 3);
    assert!(all.iter().all(|deed| deed.time.is_some_and(|at| at.seconds > 1_600_000_000)));
    second.stop().await;
    first.stop().await;
}

on_each_shared_store! {
    what_one_server_tells_is_followed_at_another
}
