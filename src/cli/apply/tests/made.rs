//! Plans that are carried out, against a server that takes types as the test says.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use super::*;
use crate::cli::client::{Address, Client};
use crate::cli::exit::Exit;
use crate::cli::output::Format;
use crate::cli::output::tests::{captured, gone};
use crate::proto::v1::job_type_service_server::{JobTypeService, JobTypeServiceServer};
use crate::proto::v1::*;
use crate::runtime::{Shutdown, Tasks};

/// Whether the next type is a new one, or why it is refused; each is new where nothing is said.
type Script = VecDeque<Result<bool, Status>>;
type Answer<T> = Result<Response<T>, Status>;

#[derive(Clone, Default)]
struct Types {
    script: Arc<Mutex<Script>>,
    put: Arc<Mutex<Vec<String>>>,
}

fn not_here<T>() -> Answer<T> {
    Err(Status::unimplemented("the fake does not do this"))
}

#[tonic::async_trait]
impl JobTypeService for Types {
    async fn put_job_type(
        &self,
        request: Request<PutJobTypeRequest>,
    ) -> Answer<PutJobTypeResponse> {
        let created = self.script.lock().pop_front().unwrap_or(Ok(true))?;
        let job_type = request.into_inner().job_type;
        self.put.lock().extend(job_type.clone().map(|put| put.r#type));
        Ok(Response::new(PutJobTypeResponse { job_type, created }))
    }

    async fn get_job_type(&self, _: Request<GetJobTypeRequest>) -> Answer<GetJobTypeResponse> {
        not_here()
    }

    async fn list_job_types(
        &self,
        _: Request<ListJobTypesRequest>,
    ) -> Answer<ListJobTypesResponse> {
        not_here()
    }

    async fn delete_job_type(
        &self,
        _: Request<DeleteJobTypeRequest>,
    ) -> Answer<DeleteJobTypeResponse> {
        not_here()
    }

    async fn trigger_job_type(
        &self,
        _: Request<TriggerJobTypeRequest>,
    ) -> Answer<TriggerJobTypeResponse> {
        not_here()
    }

    async fn preview_schedule(
        &self,
        _: Request<PreviewScheduleRequest>,
    ) -> Answer<PreviewScheduleResponse> {
        not_here()
    }
}

/// Makes three new types with this output; gives how it ended, and which types the server took.
async fn make<const N: usize>(
    script: [Result<bool, Status>; N],
    out: &mut Out,
) -> (Result<(), Failure>, Vec<String>) {
    let types = Types { script: Arc::new(Mutex::new(script.into())), ..Types::default() };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: Address = listener.local_addr().unwrap().to_string().parse().unwrap();
    let stop = Shutdown::new();
    let stopped = stop.clone();
    let server =
        tonic::transport::Server::builder().add_service(JobTypeServiceServer::new(types.clone()));
    Tasks::new().spawn("fake", async move {
        let incoming = TcpListenerStream::new(listener);
        server.serve_with_incoming_shutdown(incoming, stopped.signalled()).await
    });
    let client = Client::connect(&address, None).await.unwrap();
    let file = read("types: [{type: a}, {type: b}, {type: c}]").unwrap();
    let mut plan = Plan::of(&file, &Held::default(), false).unwrap();
    let ended = make::all(&client, &mut plan, out).await;
    stop.signal();
    let put = types.put.lock().clone();
    (ended, put)
}

/// A refusal of the server.
fn refused() -> Result<bool, Status> {
    Err(Status::resource_exhausted("no room"))
}

#[tokio::test]
async fn all_is_made_although_nobody_reads_of_it() {
    for (kind, exit) in
        [(std::io::ErrorKind::BrokenPipe, Exit::Ok), (std::io::ErrorKind::StorageFull, Exit::Io)]
    {
        let (mut out, notes) = gone(kind);
        let (ended, put) = make([], &mut out).await;
        assert_eq!(put, ["a", "b", "c"], "{kind}");
        assert_eq!(ended.unwrap_err().exit(), exit, "{kind}");
        let sum = "jobplane: 3 created, 0 changed, 0 deleted, 0 as they were";
        assert_eq!(*notes.borrow(), [sum], "{kind}");

        let (mut out, notes) = gone(kind);
        let (ended, put) = make([Ok(true), refused()], &mut out).await;
        assert_eq!((ended.unwrap_err().exit(), put), (Exit::Refused, vec!["a".to_owned()]));
        assert!(notes.borrow()[0].starts_with("jobplane: 1 of 3 changes was made"), "{kind}");
    }
}

#[tokio::test]
async fn a_step_that_fails_is_told_to_programs_with_what_was_made() {
    let (mut out, written) = captured(Format::Json);
    let (ended, _) = make([Ok(true), refused()], &mut out).await;
    assert_eq!(ended.unwrap_err().exit(), Exit::Refused);
    out.flush().unwrap();
    let told: serde_json::Value = serde_json::from_str(&written.text()).unwrap();
    let step =
        |name: &str| json!({"action": "create", "kind": "type", "name": name, "changes": []});
    assert_eq!(
        told,
        json!({
            "dry_run": false, "steps": [step("a")], "unchanged": 0, "failed": step("b"),
            "not_begun": [step("c")],
        })
    );
}

#[tokio::test]
async fn a_type_that_somebody_declared_meanwhile_is_told_as_changed() {
    let (mut out, written) = captured(Format::Table);
    make([Ok(true), Ok(false)], &mut out).await.0.unwrap();
    let text = written.text();
    assert!(
        text.contains("+ type a\n~ type b\n    # somebody else declared it meanwhile"),
        "{text}"
    );
    assert!(text.ends_with("+ type c\n"), "{text}");

    let (mut out, written) = captured(Format::Json);
    make([Ok(false)], &mut out).await.0.unwrap();
    let told: serde_json::Value = serde_json::from_str(&written.text()).unwrap();
    let (first, second) = (&told["steps"][0], &told["steps"][1]);
    assert_eq!((&first["action"], &first["declared_meanwhile"]), (&json!("change"), &json!(true)));
    assert_eq!(second["action"], "create");
}
