//! Messages as bytes: the load must cost less than what it loads, so it encodes once and decodes only what it
//! looks at.

use std::marker::PhantomData;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::{Buf as _, BufMut as _, Bytes};
use http::uri::PathAndQuery;
use prost::Message as _;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};

use jobplane::domain::limits::{CONNECTION_WINDOW_BYTES, STREAM_WINDOW_BYTES};
use jobplane::proto::v1;

/// A connection of its own.
pub async fn connect(address: SocketAddr) -> Result<Channel> {
    Endpoint::from_shared(format!("http://{address}"))?
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .tcp_nodelay(true)
        .connect_timeout(Duration::from_secs(10))
        .connect()
        .await
        .with_context(|| format!("cannot connect to {address}"))
}

/// Something that writes itself as one message.
pub trait Put: Send + 'static {
    /// Writes it.
    fn put(self, buffer: &mut EncodeBuf<'_>) -> Result<(), Status>;
}

impl Put for Bytes {
    fn put(self, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(self);
        Ok(())
    }
}

/// Sends what writes itself, receives bytes.
pub struct Raw<T>(PhantomData<T>);

impl<T> Default for Raw<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T: Put> Codec for Raw<T> {
    type Encode = T;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = RawDecoder;

    fn encoder(&mut self) -> Self {
        Self::default()
    }

    fn decoder(&mut self) -> RawDecoder {
        RawDecoder
    }
}

impl<T: Put> Encoder for Raw<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.put(buffer)
    }
}

/// See [`Raw`].
pub struct RawDecoder;

impl Decoder for RawDecoder {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// A call of one message each way.
pub async fn unary(channel: &Channel, path: &'static str, message: Bytes) -> Result<Bytes> {
    unary_within(channel, path, message, None).await.map_err(anyhow::Error::from)
}

/// A call of one message each way that must be answered in time.
pub async fn unary_within(
    channel: &Channel,
    path: &'static str,
    message: Bytes,
    within: Option<Duration>,
) -> Result<Bytes, Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let mut request = tonic::Request::new(message);
    if let Some(within) = within {
        request.set_timeout(within);
    }
    let path = PathAndQuery::from_static(path);
    client.unary(request, path, Raw::default()).await.map(tonic::Response::into_inner)
}

/// What each job of the benchmark is: a payload of 200 bytes, nothing else.
pub fn spec() -> v1::JobSpec {
    let text = "x".repeat(186);
    let value = prost_types::Value { kind: Some(prost_types::value::Kind::StringValue(text)) };
    let payload = prost_types::Struct { fields: [("p".to_owned(), value)].into() };
    v1::JobSpec {
        r#type: TYPE.to_owned(),
        payload: Some(payload.encode_to_vec().into()),
        ..Default::default()
    }
}

/// The type of the benchmark's jobs.
pub const TYPE: &str = "bench.sync";

/// A request for one job, encoded.
pub fn create_one() -> Bytes {
    v1::CreateJobRequest { spec: Some(spec()), ..Default::default() }.encode_to_vec().into()
}

/// A request for so many jobs, encoded.
pub fn create_many(jobs: usize) -> Bytes {
    let one = v1::CreateJobRequest { spec: Some(spec()), ..Default::default() };
    v1::BatchCreateJobsRequest { requests: vec![one; jobs] }.encode_to_vec().into()
}

/// Where single jobs are made.
pub const CREATE_ONE: &str = "/jobplane.v1.JobService/CreateJob";
/// Where many jobs are made.
pub const CREATE_MANY: &str = "/jobplane.v1.JobService/BatchCreateJobs";

/// Bytes of a progress report.
pub const TICK_BYTES: usize = 64;

/// First values of what is counted in reports: from here on their encodings are equally long. Neither encoding
/// stands within the other, so that each is found in a report.
const SEQ_FIRST: i64 = (1 << 28) + 0x12_34_56;
const DONE_FIRST: i64 = (1 << 21) + 0x0a_bc_de;
const DONE_TOTAL: i64 = (1 << 28) - 1;

/// Progress reports of some jobs in turn, each encoded by patching two numbers.
#[derive(Clone)]
pub struct Ticks {
    reports: Vec<[u8; TICK_BYTES]>,
    seq_at: usize,
    done_at: usize,
    made: i64,
}

impl Ticks {
    /// Reports about these jobs.
    pub fn of(jobs: &[(String, i64)]) -> Result<Self> {
        let encoded = jobs.iter().map(|(id, epoch)| {
            let progress = v1::Progress {
                total: Some(DONE_TOTAL),
                completed: DONE_FIRST,
                step_number: 1,
                step_count: 9,
                ..Default::default()
            };
            let report = Some(v1::report_progress_request::update::Report::Progress(progress));
            update(SEQ_FIRST, id.clone(), *epoch, report).encode_to_vec()
        });
        let encoded: Vec<Vec<u8>> = encoded.collect();
        let first = encoded.first().context("no jobs to report on")?;
        let (seq_at, done_at) = (place(first, SEQ_FIRST)?, place(first, DONE_FIRST)?);
        let reports = encoded.into_iter().map(|report| {
            let length = report.len();
            let sized = <[u8; TICK_BYTES]>::try_from(report);
            sized.map_err(|_| anyhow::anyhow!("a report of {length} bytes"))
        });
        Ok(Self { reports: reports.collect::<Result<_>>()?, seq_at, done_at, made: 0 })
    }

    /// The next one.
    pub fn next(&mut self) -> [u8; TICK_BYTES] {
        let jobs = self.reports.len() as i64;
        let at = (self.made % jobs) as usize;
        let mut report = self.reports[at];
        patch(&mut report[self.seq_at..], SEQ_FIRST + self.made, 5);
        patch(&mut report[self.done_at..], DONE_FIRST + self.made / jobs % (1 << 26), 4);
        self.made += 1;
        report
    }

    /// The sequence number of the last one made.
    pub const fn last_seq(&self) -> i64 {
        SEQ_FIRST + self.made - 1
    }

    /// How many were made.
    pub const fn made(&self) -> u64 {
        self.made as u64
    }
}

/// A message that reports on a job.
pub fn update(
    seq: i64,
    job_id: String,
    lease_epoch: i64,
    report: Option<v1::report_progress_request::update::Report>,
) -> v1::ReportProgressRequest {
    use v1::report_progress_request::{Kind, Update};
    let update = Update { seq, job_id, lease_epoch, report };
    v1::ReportProgressRequest { received_through: 0, kind: Some(Kind::Update(Box::new(update))) }
}

fn patch(place: &mut [u8], value: i64, length: usize) {
    let mut rest = value as u64;
    for (at, byte) in place.iter_mut().take(length).enumerate() {
        let more = if at + 1 < length { 0x80 } else { 0 };
        *byte = (rest & 0x7f) as u8 | more;
        rest >>= 7;
    }
}

fn place(report: &[u8], value: i64) -> Result<usize> {
    let mut wanted = Vec::new();
    prost::encoding::encode_varint(value as u64, &mut wanted);
    let mut places = report.windows(wanted.len()).enumerate();
    let at = places.find(|(_, bytes)| *bytes == wanted).context("a number that is not there")?.0;
    ensure!(!places.any(|(_, bytes)| bytes == wanted), "a number that is there twice");
    Ok(at)
}
