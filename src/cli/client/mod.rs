//! The connection to a server, and the only part of the command line that names tonic.
//!
//! Owns: addresses ([`Address`]) and who answers there ([`explain`]), calls with a limit of time ([`Client::ask`]), what
//! a refusal means ([`Refusal`]), watches that outlive their streams ([`Follow`], [`FollowMany`]) and the streams of
//! workers ([`ReportStream`]).
//! Does not own: what is asked and how the answer is shown.

mod address;
mod diagnose;
mod follow;
mod follow_many;
mod patience;
mod refusal;
mod report;

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

pub use address::Address;
pub use diagnose::explain;
pub use follow::{Follow, Happened};
pub use follow_many::{FollowMany, Seen};
pub use patience::pause;
pub use refusal::Refusal;
pub use report::{Break, ReportSender, ReportStream};

use super::exit::Failure;
use crate::domain::limits::{KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT};
use crate::proto::v1::admin_service_client::AdminServiceClient;
use crate::proto::v1::job_service_client::JobServiceClient;
use crate::proto::v1::job_type_service_client::JobTypeServiceClient;
use crate::proto::v1::worker_service_client::WorkerServiceClient;
use crate::runtime::Clock;

/// A host that does not answer at all is given up after this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one call may take if the user does not say.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The server is told a little more than what is waited here, so that the user sees one kind of time-out.
const SERVER_MARGIN: Duration = Duration::from_millis(500);
/// Pages end by 1 MiB, but statistics of 10,000 types are larger than the 4 MiB that are usual.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// How long a command may take.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Limit {
    /// Give up after this long, exit code 124 [default: 30s for each call, none for what is followed]
    #[arg(long, value_name = "DURATION", value_parser = super::parse::duration)]
    #[arg(help_heading = super::GLOBAL)]
    pub timeout: Option<Duration>,
}

/// A connection to a server.
pub struct Client {
    channel: Channel,
    address: Address,
    limit: Option<Duration>,
    until: Option<Instant>,
}

impl Client {
    /// Connects. The limit, if there is one, runs from here.
    pub async fn connect(address: &Address, limit: Option<Duration>) -> Result<Self, Failure> {
        let until = limit.map(|limit| Clock::monotonic() + limit);
        let unreachable =
            |cause: String| Failure::Unreachable { address: address.to_string(), cause };
        let endpoint = Endpoint::from_shared(address.to_string())
            .and_then(|endpoint| {
                endpoint.user_agent(concat!("jobplane/", env!("CARGO_PKG_VERSION")))
            })
            .map_err(|error| unreachable(root_cause(&error)))?
            .connect_timeout(CONNECT_TIMEOUT)
            // A peer that is gone without a word is noticed while something is followed.
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT);
        let wait = limit.unwrap_or(REQUEST_TIMEOUT);
        let channel = match timeout(wait, endpoint.connect()).await {
            Ok(Ok(channel)) => channel,
            Ok(Err(error)) => return Err(unreachable(root_cause(&error))),
            Err(_) => {
                return Err(Failure::TimedOut {
                    doing: format!("connecting to {address}"),
                    after: wait,
                    next: "check the address, or allow more with --timeout".to_owned(),
                });
            }
        };
        Ok(Self { channel, address: address.clone(), limit, until })
    }

    /// The service for jobs.
    #[must_use]
    pub fn jobs(&self) -> JobServiceClient<Channel> {
        JobServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// The service for types.
    #[must_use]
    pub fn types(&self) -> JobTypeServiceClient<Channel> {
        JobTypeServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// The service for operators.
    #[must_use]
    pub fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// The service for workers.
    #[must_use]
    pub fn workers(&self) -> WorkerServiceClient<Channel> {
        WorkerServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// A message with the time that is left for it.
    #[must_use]
    pub fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        request.set_timeout(self.left() + SERVER_MARGIN);
        request
    }

    /// Makes a call that changes nothing. `doing` says what for, after "cannot": `list jobs`.
    pub fn ask<T>(
        &self,
        doing: &str,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> impl Future<Output = Result<T, Failure>> {
        let next =
            "see whether the server is well (`/readyz`, its log), or allow more with --timeout";
        self.call(doing, next, call)
    }

    /// As [`Client::ask`], of a call that changes something, which nobody can tell when there is no answer.
    pub fn change<T>(
        &self,
        doing: &str,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> impl Future<Output = Result<T, Failure>> {
        let next = "it may have been done: look before you repeat it, or allow more with --timeout";
        let call = self.call(doing, next, call);
        async move { call.await.map_err(unsure) }
    }

    /// [`Client::change`] if it `changes` something, else [`Client::ask`].
    pub async fn ask_or_change<T>(
        &self,
        changes: bool,
        doing: &str,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Failure> {
        if changes { self.change(doing, call).await } else { self.ask(doing, call).await }
    }

    /// A message with no more time than was asked for: without `--timeout` it is waited for to its end.
    #[must_use]
    pub fn long_request<M>(&self, message: M) -> Request<M> {
        if self.until.is_some() { self.request(message) } else { Request::new(message) }
    }

    /// As [`Client::change`], of a call that goes on to its end on the server and may take long: without `--timeout`
    /// it is waited for.
    pub async fn change_at_length<T>(
        &self,
        doing: &str,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Failure> {
        if self.until.is_some() {
            return self.change(doing, call).await;
        }
        self.at_length(doing, call).await.map_err(unsure)
    }

    /// As [`Client::change_at_length`], of a call that changes nothing.
    pub async fn ask_at_length<T>(
        &self,
        doing: &str,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Failure> {
        if self.until.is_some() {
            return self.ask(doing, call).await;
        }
        self.at_length(doing, call).await
    }

    async fn at_length<T>(
        &self,
        doing: &str,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Failure> {
        match Box::pin(call).await {
            Ok(answer) => Ok(answer.into_inner()),
            Err(status) => Err(self.refused(doing, &status)),
        }
    }

    fn call<T>(
        &self,
        doing: &str,
        next: &str,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> impl Future<Output = Result<T, Failure>> {
        // A call is large; on the heap it does not make everything large that waits for it.
        let call = Box::pin(call);
        async move {
            match timeout(self.left(), call).await {
                Ok(Ok(answer)) => Ok(answer.into_inner()),
                Ok(Err(status)) => Err(self.refused(doing, &status)),
                Err(_) => Err(Failure::TimedOut {
                    doing: format!("no answer from {} to: {doing}", self.address),
                    after: self.limit.unwrap_or(REQUEST_TIMEOUT),
                    next: next.to_owned(),
                }),
            }
        }
    }

    fn refused(&self, doing: &str, status: &Status) -> Failure {
        Failure::Refused(Box::new(Refusal::of(status, doing, &self.address.to_string())))
    }

    fn left(&self) -> Duration {
        match self.until {
            Some(until) => until.saturating_duration_since(Clock::monotonic()),
            None => REQUEST_TIMEOUT,
        }
    }
}

/// A change of which nobody knows whether it was made, where the connection broke.
fn unsure(mut failure: Failure) -> Failure {
    if let Failure::Refused(refusal) = &mut failure
        && refusal.broke_off()
    {
        refusal.advise(
            "it may have been done: look before you repeat it, and check that the server runs",
        );
    }
    failure
}

/// What lies at the bottom of an error: the system's own words.
fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
