//! The codec of every call: prost's, with buffers that fit what the call carries.
//!
//! The transport sets a buffer of 8 KiB aside for each direction of each call. That is right for a
//! call that is over in a moment, and most of what an idle watch costs. The messages of streams
//! therefore begin with a small one, which grows if they need more.

use std::any::TypeId;
use std::marker::PhantomData;

use prost::Message;
use tonic::codec::BufferSettings;
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

use crate::domain::limits::{STREAM_BATCH_BYTES, STREAM_BUFFER_BYTES};

use super::from_worker::FromWorker;
use super::v1;

/// See the module.
#[derive(Debug, Clone)]
pub struct Codec<E, D>(PhantomData<(E, D)>);

impl<E, D> Default for Codec<E, D> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<E, D> tonic::codec::Codec for Codec<E, D>
where
    E: Message + 'static,
    D: Message + Default + 'static,
{
    type Encode = E;
    type Decode = D;
    type Encoder = ProstEncoder<E>;
    type Decoder = ProstDecoder<D>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<E, D>::raw_encoder(buffers::<E>())
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<E, D>::raw_decoder(buffers::<D>())
    }
}

/// The buffers of one direction of a call that carries `M`.
fn buffers<M: 'static>() -> BufferSettings {
    let streamed = [
        TypeId::of::<v1::WatchJobRequest>(),
        TypeId::of::<v1::WatchJobResponse>(),
        TypeId::of::<v1::WatchJobsRequest>(),
        TypeId::of::<v1::WatchJobsResponse>(),
        TypeId::of::<FromWorker>(),
        TypeId::of::<v1::ReportProgressResponse>(),
    ];
    if streamed.contains(&TypeId::of::<M>()) { stream_buffers() } else { BufferSettings::default() }
}

fn stream_buffers() -> BufferSettings {
    BufferSettings::new(STREAM_BUFFER_BYTES, STREAM_BATCH_BYTES)
}

#[cfg(test)]
mod tests;
