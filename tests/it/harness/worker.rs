//! A worker with a stream, as a script.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jobplane::proto::from_worker::FromWorker;
use jobplane::proto::v1;
use jobplane::proto::v1::report_progress_request::update::{self, Report};
use jobplane::proto::v1::report_progress_request::{self as request, Kind};
use jobplane::proto::v1::report_progress_response as response;
use jobplane::proto::v1::worker_service_client::WorkerServiceClient;
use jobplane::runtime::Tasks;
use parking_lot::Mutex;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use uuid::Uuid;

use super::client::{channel, percent, seconds};
use super::refusal::Refusal;
use super::worker_inbox::{Inbox, Message};

/// Messages of a script that wait for the transport.
const QUEUE: usize = 20_000;

/// A worker that may attach.
pub struct Hire {
    address: SocketAddr,
    hello: request::Hello,
    slots: i32,
    confirms: bool,
    first_seq: i64,
}

impl Hire {
    /// A worker of this name, a new process, with one slot.
    pub fn new(address: SocketAddr, name: &str) -> Self {
        let hello = request::Hello {
            worker_id: name.to_owned(),
            instance_id: Uuid::new_v4().to_string(),
            ..request::Hello::default()
        };
        Self { address, hello, slots: 1, confirms: true, first_seq: 1 }
    }

    /// It may hold so many jobs.
    pub fn slots(mut self, slots: i32) -> Self {
        self.slots = slots;
        self
    }

    /// It serves this queue.
    pub fn queue(mut self, queue: &str) -> Self {
        self.hello.queues.push(queue.to_owned());
        self
    }

    /// It runs this type.
    pub fn job_type(mut self, job_type: &str) -> Self {
        self.hello.types.push(job_type.to_owned());
        self
    }

    /// It has so much memory for its jobs, in bytes.
    pub fn memory(mut self, bytes: i64) -> Self {
        self.hello.memory_bytes = bytes;
        self
    }

    /// Its lease, in seconds.
    pub fn lease(mut self, ttl: f64) -> Self {
        self.hello.lease_ttl = seconds(ttl);
        self
    }

    /// It never says what it received.
    pub fn confirming_nothing(mut self) -> Self {
        self.confirms = false;
        self
    }

    /// It is the same process as `other`, and goes on with its numbers.
    pub fn same_process_as(mut self, other: &Worker) -> Self {
        self.hello.instance_id.clone_from(&other.instance_id);
        self.first_seq = other.seq.load(Ordering::Relaxed) + 1;
        self
    }

    /// It says that it has this job.
    pub fn has(mut self, job_id: &str, lease_epoch: i64) -> Self {
        let job_id = job_id.to_owned();
        self.hello.running.push(request::hello::Running { job_id, lease_epoch });
        self
    }

    /// Attaches, and waits for the Welcome.
    pub async fn connect(self) -> Worker {
        let worker = self.connect_unwelcomed().await;
        let welcome = worker.inbox.take("Welcome", |message| match message {
            Message::Welcome(welcome) => Some(welcome.clone()),
            _ => None,
        });
        let welcome = welcome.await;
        Worker { welcome, ..worker }
    }

    /// Opens the stream and says Hello.
    pub async fn connect_unwelcomed(self) -> Worker {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let line = Arc::new(Line { sender: Mutex::new(Some(sender)), received: AtomicI64::new(0) });
        let instance_id = self.hello.instance_id.clone();
        let slots = self.slots;
        line.say(Some(Kind::Hello(self.hello)));
        line.say(Some(Kind::Capacity(request::Capacity { slots })));
        let mut client = WorkerServiceClient::new(channel(self.address).await);
        let stream =
            client.report_progress(ReceiverStream::new(receiver).map(FromWorker::from)).await;
        let stream = stream.expect("a stream").into_inner();
        let inbox = Arc::new(Inbox::default());
        let reading = read(stream, Arc::clone(&inbox), Arc::clone(&line), self.confirms);
        let reader = Tasks::new().spawn("worker", reading);
        Worker {
            instance_id,
            welcome: response::Welcome::default(),
            inbox,
            line,
            seq: Arc::new(AtomicI64::new(self.first_seq - 1)),
            reader: Arc::new(Reader(reader)),
        }
    }
}

/// The way to the server.
struct Line {
    sender: Mutex<Option<mpsc::Sender<v1::ReportProgressRequest>>>,
    received: AtomicI64,
}

impl Line {
    fn say(&self, kind: Option<Kind>) {
        let received_through = self.received.load(Ordering::Relaxed);
        if let Some(sender) = &*self.sender.lock() {
            // A stream that is over takes nothing more.
            let _ = sender.try_send(v1::ReportProgressRequest { received_through, kind });
        }
    }
}

async fn read(
    mut stream: Streaming<v1::ReportProgressResponse>,
    inbox: Arc<Inbox>,
    line: Arc<Line>,
    confirms: bool,
) {
    let mut expected = 1;
    loop {
        match stream.message().await {
            Ok(Some(message)) => {
                assert_eq!(message.sequence, expected, "messages are numbered without a hole");
                expected += 1;
                let Some(kind) = message.kind else { continue };
                let is_assignment = matches!(kind, Message::Assignment(_));
                if confirms {
                    line.received.store(message.sequence, Ordering::Relaxed);
                }
                inbox.push(kind);
                if confirms && is_assignment {
                    line.say(None);
                }
            }
            Ok(None) => return inbox.close(Ok(())),
            Err(status) => return inbox.close(Err(status)),
        }
    }
}

struct Reader(JoinHandle<()>);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A worker that attached. Its stream breaks when the last clone is dropped.
#[derive(Clone)]
pub struct Worker {
    /// Its process.
    pub instance_id: String,
    /// How it was received.
    pub welcome: response::Welcome,
    inbox: Arc<Inbox>,
    line: Arc<Line>,
    seq: Arc<AtomicI64>,
    reader: Arc<Reader>,
}

impl Worker {
    /// Says something.
    pub fn say(&self, kind: Kind) {
        self.line.say(Some(kind));
    }

    /// Gives a sign of life.
    pub fn heartbeat(&self) {
        self.say(Kind::Heartbeat(request::Heartbeat::default()));
    }

    /// May hold so many jobs from now on.
    pub fn capacity(&self, slots: i32) {
        self.say(Kind::Capacity(request::Capacity { slots }));
    }

    /// Sends an update; answers its number.
    pub fn update(&self, job_id: &str, lease_epoch: i64, report: Report) -> i64 {
        let seq = self.seq.fetch_add(1, Ordering::Relaxed) + 1;
        self.update_as(seq, job_id, lease_epoch, report);
        seq
    }

    /// Sends an update under a number of its own choice.
    pub fn update_as(&self, seq: i64, job_id: &str, lease_epoch: i64, report: Report) {
        let job_id = job_id.to_owned();
        self.say(Kind::Update(Box::new(request::Update {
            seq,
            job_id,
            lease_epoch,
            report: Some(report),
        })));
    }

    /// Waits until an update is acked; the reject, if there was one.
    pub async fn settled(&self, seq: i64) -> Result<(), Refusal> {
        self.inbox.settled(seq).await
    }

    /// Takes up the first message, not taken up before, that is as `wanted`.
    pub async fn expect<T>(&self, what: &str, wanted: impl Fn(&Message) -> Option<T>) -> T {
        self.inbox.take(what, wanted).await
    }

    /// Waits for a job.
    pub async fn expect_assignment(&self) -> Held {
        let assignment = self.expect("an assignment", assignment).await;
        self.held(assignment)
    }

    /// Waits for a job, however long that takes.
    pub async fn next_assignment(&self) -> Held {
        let assignment = self.inbox.take_some_time(assignment).await;
        self.held(assignment)
    }

    fn held(&self, assignment: v1::Assignment) -> Held {
        let job = assignment.job.expect("an assignment holds a job");
        let job = v1::Job::decode(job).expect("a job");
        Held { worker: self.clone(), id: job.id.clone(), job, epoch: assignment.lease_epoch }
    }

    /// Waits for the wish that a job stop.
    pub async fn expect_cancel(&self) -> response::CancelRequest {
        let cancel = self.expect("to cancel", |message| match message {
            Message::CancelRequest(cancel) => Some(cancel.clone()),
            _ => None,
        });
        cancel.await
    }

    /// Waits for the news that a job is lost.
    pub async fn expect_revoke(&self) -> response::Revoke {
        let revoke = self.expect("that a job is lost", |message| match message {
            Message::Revoke(revoke) => Some(revoke.clone()),
            _ => None,
        });
        revoke.await
    }

    /// Waits for the wish that it leave.
    pub async fn expect_drain(&self) -> response::Drain {
        let drain = self.expect("to drain", |message| match message {
            Message::Drain(drain) => Some(drain.clone()),
            _ => None,
        });
        drain.await
    }

    /// Waits for another Welcome.
    pub async fn expect_welcome(&self) -> response::Welcome {
        let welcome = self.expect("Welcome again", |message| match message {
            Message::Welcome(welcome) => Some(welcome.clone()),
            _ => None,
        });
        welcome.await
    }

    /// Everything it was told so far.
    pub fn told(&self) -> Vec<Message> {
        self.inbox.messages()
    }

    /// Waits for the end of its stream.
    pub async fn end(&self) -> Result<(), Status> {
        self.inbox.end().await
    }

    /// Says Goodbye, and waits for the end of the stream.
    pub async fn goodbye(&self) -> Result<(), Status> {
        self.say(Kind::Goodbye(request::Goodbye {}));
        self.end().await
    }

    /// Closes its side of the stream, and still reads.
    pub fn close(&self) {
        self.line.sender.lock().take();
    }

    /// Loses its connection: nothing more is read or sent.
    pub fn cut(&self) {
        self.line.sender.lock().take();
        self.reader.0.abort();
    }
}

fn assignment(message: &Message) -> Option<v1::Assignment> {
    match message {
        Message::Assignment(assignment) => Some(assignment.clone()),
        _ => None,
    }
}

/// A job in a worker's hands.
#[derive(Clone)]
pub struct Held {
    /// Who has it.
    pub worker: Worker,
    /// Its id.
    pub id: String,
    /// The job as it was assigned.
    pub job: v1::Job,
    /// Its lease.
    pub epoch: i64,
}

impl Held {
    /// Sends a report; answers its number.
    pub fn send(&self, report: Report) -> i64 {
        self.worker.update(&self.id, self.epoch, report)
    }

    async fn settled(&self, report: Report) -> Result<(), Refusal> {
        let seq = self.send(report);
        self.worker.settled(seq).await
    }

    /// Reports how far it is.
    pub async fn report(&self, progress: v1::Progress) -> Result<(), Refusal> {
        self.settled(Report::Progress(progress)).await
    }

    /// Reports how far it is, in percent.
    pub async fn progress(self, of_hundred: f64) -> Self {
        self.report(percent(of_hundred)).await.expect("progress is taken");
        self
    }

    /// Writes lines into its log.
    pub async fn log(&self, entries: Vec<v1::LogEntry>) -> Result<(), Refusal> {
        self.settled(Report::Logs(v1::LogBatch { entries })).await
    }

    /// Says that it is done.
    pub async fn succeed(&self) -> Result<(), Refusal> {
        self.settled(Report::Succeeded(update::Succeeded::default())).await
    }

    /// Says that it failed.
    pub async fn fail(&self, code: &str) -> Result<(), Refusal> {
        let error = v1::JobError { code: code.to_owned(), ..v1::JobError::default() };
        self.fail_with(error, None).await
    }

    /// Says that it failed, with a wish for the wait before the next attempt, in seconds.
    pub async fn fail_with(&self, error: v1::JobError, wait: Option<f64>) -> Result<(), Refusal> {
        let retry_delay = wait.and_then(seconds);
        self.settled(Report::Failed(update::Failed {
            error: Some(error),
            retry_delay,
            progress: None,
        }))
        .await
    }

    /// Says that it stopped, as was asked.
    pub async fn cancelled(&self) -> Result<(), Refusal> {
        self.settled(Report::Cancelled(update::Cancelled {})).await
    }

    /// Gives it back for `wait` seconds.
    pub async fn release(&self, wait: f64) -> Result<(), Refusal> {
        let released = update::Released { delay: seconds(wait), reason: "later".to_owned() };
        self.settled(Report::Released(released)).await
    }
}
