use crate::domain::limits::LEASE_TTL_DEFAULT;
use crate::grpc::convert::worker::{self, Hello};
use crate::grpc::convert::{enums, ids, text};
use crate::proto::v1;
use crate::proto::v1::report_progress_request as request;

use super::{checked, span};

const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

fn minimal() -> request::Hello {
    request::Hello { worker_id: "w1".to_owned(), instance_id: ID.to_owned(), ..Default::default() }
}

fn read(hello: request::Hello) -> Result<Hello, Vec<String>> {
    checked(|v| worker::hello_from_proto(hello, "hello", v))
}

#[test]
fn a_worker_that_says_little_gets_the_defaults() {
    let hello = read(minimal()).expect("valid");
    assert_eq!(hello.queues.len(), 1);
    assert_eq!(hello.queues[0].as_str(), "default");
    assert_eq!((hello.types.len(), hello.slots), (0, 0));
    assert_eq!((hello.lease_ttl, hello.client.as_str()), (LEASE_TTL_DEFAULT, ""));
}

#[test]
fn a_worker_is_taken_at_its_word() {
    let running = request::hello::Running { job_id: ID.to_owned(), lease_epoch: 4 };
    let hello = read(request::Hello {
        client: Some(v1::ClientInfo { name: "py".to_owned(), version: "1.2".to_owned() }),
        slots: 4,
        memory_bytes: 1 << 30,
        lease_ttl: Some(span(60, 0)),
        running: vec![running],
        ..minimal()
    })
    .expect("valid");
    assert_eq!((hello.client.as_str(), hello.slots), ("py 1.2", 4));
    assert_eq!(hello.running, [(ID.parse().expect("a UUID"), 4)]);
}

#[test]
fn all_wrong_fields_of_a_hello_are_named_at_once() {
    let running = request::hello::Running { job_id: "x".to_owned(), lease_epoch: 0 };
    let found = read(request::Hello {
        worker_id: String::new(),
        instance_id: String::new(),
        client: Some(v1::ClientInfo { name: "n".repeat(129), version: String::new() }),
        queues: vec!["?".to_owned()],
        slots: 1_001,
        memory_bytes: -1,
        lease_ttl: Some(span(9, 0)),
        running: vec![running],
        ..Default::default()
    });
    let expected = [
        "worker_id",
        "instance_id",
        "client.name",
        "queues[0]",
        "slots",
        "memory_bytes",
        "lease_ttl",
        "running[0].job_id",
        "running[0].lease_epoch",
    ];
    assert_eq!(found, Err(expected.map(|name| format!("hello.{name}")).to_vec()));
}

#[test]
fn a_worker_names_no_more_jobs_than_it_may_hold() {
    let running = request::hello::Running { job_id: ID.to_owned(), lease_epoch: 1 };
    let with = |count| read(request::Hello { running: vec![running.clone(); count], ..minimal() });
    assert!(with(1_000).is_ok());
    assert_eq!(with(1_001), Err(vec!["hello.running".to_owned()]));
}

#[test]
fn ids_and_texts_keep_their_bounds() {
    assert!(checked(|v| ids::job_id(ID, "job_id", v)).is_ok());
    for broken in ["", "nonsense", "01890a5d-ac96-774b-bcce-b302099a805"] {
        assert_eq!(checked(|v| ids::job_id(broken, "job_id", v)), Err(vec!["job_id".to_owned()]));
    }
    assert!(checked(|v| ids::instance_id("", "instance_id", v)).is_ok());
    assert!(checked(|v| text::reason("r".repeat(1_024), "reason", v)).is_ok());
    assert!(checked(|v| text::reason("r".repeat(1_025), "reason", v)).is_err());
    let request_id = |length| checked(|v| text::request_id("r".repeat(length), "request_id", v));
    assert_eq!(request_id(0), Ok(None));
    assert!(request_id(128).is_ok() && request_id(129).is_err());
}

#[test]
fn a_number_that_is_no_name_is_refused() {
    use crate::domain::LogLevel;
    let level = |number| checked(|v| enums::from_proto::<LogLevel>(number, "min_level", v));
    assert_eq!(level(0), Ok(None));
    assert_eq!(level(4), Ok(Some(LogLevel::Error)));
    assert_eq!(level(5), Err(vec!["min_level".to_owned()]));
}
