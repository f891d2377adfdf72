//! What a worker says on its stream, as the server reads it.
//!
//! Nearly all of it are progress reports, and to decode one into the generated message costs more than all that
//! is done with it afterwards: texts of their own, a map, a message so large that moving it shows. So build.rs
//! gives `ReportProgress` this type in place of `ReportProgressRequest`: on the wire the same, in Rust a small
//! [`Tick`] where that is enough, else the generated message. What [`FromWorker::decode`] does not read with ease, the
//! generated code reads.

mod wire;

use bytes::{Buf, BufMut};
use prost::encoding::{DecodeContext, WireType};
use prost::{DecodeError, Message};
use uuid::Uuid;

use super::v1::report_progress_request::{Kind, Update, update};
use super::v1::{Progress, ReportProgressRequest};

/// A message of a worker.
#[derive(Debug, Clone, PartialEq)]
pub enum FromWorker {
    /// How far a job is.
    Tick(Tick),
    /// Whatever it is.
    Whole(Box<ReportProgressRequest>),
}

/// An Update with Progress that has neither counters nor an estimate, and whose job id is written as the server
/// writes it. Fields as in the proto file; none is checked.
#[derive(Debug, Clone, PartialEq, Default)]
#[expect(missing_docs, reason = "the proto files say it")]
pub struct Tick {
    pub received_through: i64,
    pub seq: i64,
    pub job_id: Uuid,
    pub lease_epoch: i64,
    pub total: Option<i64>,
    pub completed: i64,
    pub succeeded: i64,
    pub failed: i64,
    pub percent: Option<f64>,
    pub step_number: i32,
    pub step_count: i32,
    pub sequence: i64,
    /// Most reports are numbers alone, and are moved from hand to hand.
    pub texts: Option<Box<Texts>>,
}

/// The texts of a [`Tick`].
#[derive(Debug, Clone, PartialEq, Default)]
#[expect(missing_docs, reason = "the proto files say it")]
pub struct Texts {
    pub unit: String,
    pub current_step: String,
    pub message: String,
}

impl Default for FromWorker {
    fn default() -> Self {
        Self::Whole(Box::default())
    }
}

impl From<ReportProgressRequest> for FromWorker {
    fn from(message: ReportProgressRequest) -> Self {
        Self::Whole(Box::new(message))
    }
}

impl From<Tick> for ReportProgressRequest {
    fn from(tick: Tick) -> Self {
        let texts = tick.texts.unwrap_or_default();
        let progress = Progress {
            total: tick.total,
            completed: tick.completed,
            succeeded: tick.succeeded,
            failed: tick.failed,
            unit: texts.unit,
            percent: tick.percent,
            step_number: tick.step_number,
            step_count: tick.step_count,
            current_step: texts.current_step,
            message: texts.message,
            sequence: tick.sequence,
            ..Progress::default()
        };
        let update = Update {
            seq: tick.seq,
            job_id: tick.job_id.to_string(),
            lease_epoch: tick.lease_epoch,
            report: Some(update::Report::Progress(progress)),
        };
        let kind = Some(Kind::Update(Box::new(update)));
        Self { received_through: tick.received_through, kind }
    }
}

impl FromWorker {
    /// The generated message.
    #[must_use]
    pub fn into_whole(self) -> Box<ReportProgressRequest> {
        match self {
            Self::Tick(tick) => Box::new(tick.into()),
            Self::Whole(message) => message,
        }
    }

    fn whole_mut(&mut self) -> &mut ReportProgressRequest {
        if let Self::Tick(tick) = self {
            *self = Self::Whole(Box::new(std::mem::take(tick).into()));
        }
        match self {
            Self::Whole(message) => message,
            Self::Tick(_) => unreachable!("made whole above"),
        }
    }
}

impl Message for FromWorker {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        match self {
            Self::Tick(tick) => ReportProgressRequest::from(tick.clone()).encode_raw(buffer),
            Self::Whole(message) => message.encode_raw(buffer),
        }
    }

    fn encoded_len(&self) -> usize {
        match self {
            Self::Tick(tick) => ReportProgressRequest::from(tick.clone()).encoded_len(),
            Self::Whole(message) => message.encoded_len(),
        }
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        self.whole_mut().merge_field(tag, wire_type, buffer, context)
    }

    fn clear(&mut self) {
        *self = Self::default();
    }

    fn decode(mut buffer: impl Buf) -> Result<Self, DecodeError> {
        let chunk = buffer.chunk();
        if chunk.len() == buffer.remaining()
            && let Some(tick) = wire::tick(chunk)
        {
            buffer.advance(buffer.remaining());
            return Ok(Self::Tick(tick));
        }
        ReportProgressRequest::decode(buffer).map(Self::from)
    }
}

#[cfg(test)]
mod tests;
