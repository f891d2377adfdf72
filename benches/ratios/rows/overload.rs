//! More than it can take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use super::Setting;
use crate::harness::child::Server;
use crate::harness::crew::CREATE_BATCH;
use crate::harness::measure::{Figure, Running, Sample, median, pairs};
use crate::harness::wire::{CREATE_MANY, connect, create_many, unary_within};

/// A job that is not made within this time does not count.
const IN_TIME: Duration = Duration::from_secs(1);
/// Calls under way at the peak: enough that the server never waits for one.
const AT_PEAK: usize = 32;
/// Connections, so that none runs out of streams.
const CONNECTIONS: usize = 4;
/// What passes before a load is measured.
const WARM: Duration = Duration::from_millis(500);

/// Jobs made in time while three times as many are asked for, against the most that can be. They are asked for a
/// hundred at a time: one processor cannot ask for three times what another can make one by one.
pub async fn goodput(setting: Setting) -> Result<Figure> {
    let server = Server::ours(setting.places.server)?;
    let mut channels = Vec::new();
    for _ in 0..CONNECTIONS {
        channels.push(connect(server.address).await?);
    }
    let length = setting.plan.block;
    let mut peaks = Vec::new();
    for _ in 0..3 {
        peaks.push(peak(&server, &channels, length / 2).await?.value);
    }
    let offered = 3.0 * median(peaks);
    pairs(
        &setting.plan,
        async || flood(&server, &channels, offered, length).await,
        async || peak(&server, &channels, length).await,
    )
    .await
}

/// Makes jobs; answers how many were made in time.
async fn make(channel: &Channel, request: bytes::Bytes) -> u64 {
    match unary_within(channel, CREATE_MANY, request, Some(IN_TIME)).await {
        Ok(answer) => created(&answer),
        Err(_) => 0,
    }
}

/// How many jobs an answer says are made. Only the heads of its results are read: to decode all of it would cost the
/// load more than the server.
fn created(answer: &[u8]) -> u64 {
    const RESULT: u8 = 0x0a;
    const CREATED: u8 = 0x0a;
    let (mut rest, mut made) = (answer, 0);
    while let Some((&RESULT, mut body)) = rest.split_first() {
        let length = prost::encoding::decode_varint(&mut body).unwrap_or(u64::MAX);
        let Some((result, after)) = body.split_at_checked(length as usize) else { break };
        made += u64::from(result.first() == Some(&CREATED));
        rest = after;
    }
    made
}

/// As many calls as it takes, each after the one before.
async fn peak(server: &Server, channels: &[Channel], length: Duration) -> Result<Sample> {
    let made = Arc::new(AtomicU64::new(0));
    let mut callers = JoinSet::new();
    for channel in channels.iter().cycle().take(AT_PEAK) {
        let (channel, made) = (channel.clone(), Arc::clone(&made));
        let request = create_many(CREATE_BATCH);
        callers.spawn(async move {
            loop {
                made.fetch_add(make(&channel, request.clone()).await, Ordering::Relaxed);
            }
        });
    }
    watch(server, &made, length).await
}

/// Calls at an even pace, whatever becomes of those before.
async fn flood(
    server: &Server,
    channels: &[Channel],
    per_second: f64,
    length: Duration,
) -> Result<Sample> {
    let made = Arc::new(AtomicU64::new(0));
    let channels = channels.to_vec();
    let counting = Arc::clone(&made);
    let mut offering = JoinSet::new();
    offering.spawn(async move {
        let request = create_many(CREATE_BATCH);
        let (began, mut sent) = (Instant::now(), 0);
        let mut calls = JoinSet::new();
        let mut channels = channels.iter().cycle();
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let due = (began.elapsed().as_secs_f64() * per_second / CREATE_BATCH as f64) as u64;
            for (_, channel) in (sent..due).zip(&mut channels) {
                let (channel, request, made) =
                    (channel.clone(), request.clone(), Arc::clone(&counting));
                calls.spawn(async move {
                    made.fetch_add(make(&channel, request).await, Ordering::Relaxed);
                });
            }
            sent = due;
            while calls.try_join_next().is_some() {}
        }
    });
    let sample = watch(server, &made, length).await;
    offering.shutdown().await;
    sample
}

async fn watch(server: &Server, made: &AtomicU64, length: Duration) -> Result<Sample> {
    tokio::time::sleep(WARM).await;
    let before = made.load(Ordering::Relaxed);
    let running = Running::begin(server)?;
    running.lasts(length, || made.load(Ordering::Relaxed) > before).await;
    running.end(made.load(Ordering::Relaxed) - before)
}
