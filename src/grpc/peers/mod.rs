//! What one peer may have under way at once, so that nobody fills the memory or the queues alone.
//!
//! Owns: the counts of each peer ([`Peers`]): calls under way, calls that wait for their first answer, and
//! bytes that only this server holds: of messages that have not come whole ([`intake`]), and of answers
//! that are not read ([`answer`]). [`PeersLayer`] puts them around every call.
//! Does not own: connections (the listener's), the sizes of messages, who calls.
//! Invariants: what is counted is given back when the call is dropped; a call over a bound is refused
//! with RATE_LIMITED, and no other peer's; what passes a handler in one piece is never counted.
//!
//! A peer is an address: callers behind one proxy are one peer, and their operator raises the bounds.

mod answer;
mod intake;
mod layer;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use tokio::sync::Semaphore;

use crate::config::PeerLimits;
use crate::domain::limits::{CALLS_MAX, PEER_REFLECTIONS_MAX, PROBES_MAX, TRANSIT_BYTES_MAX};
use crate::engine::Error;

pub use layer::PeersLayer;

struct Shared {
    limits: PeerLimits,
    of: DashMap<IpAddr, Arc<Peer>>,
    /// Of all peers together.
    calls: AtomicUsize,
    bytes: AtomicUsize,
}

/// What a call is counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Usual,
    /// Finds room where another call does not.
    Probe,
    /// Has a bound of its own beside the others.
    Reflection,
}

struct Peer {
    calls: AtomicUsize,
    reflections: AtomicUsize,
    bytes: AtomicUsize,
    /// Who has passed and has no answer yet.
    door: Arc<Semaphore>,
}

/// Every peer with a call under way. Cheap to clone.
#[derive(Clone)]
pub struct Peers(Arc<Shared>);

impl Peers {
    /// Nobody yet.
    #[must_use]
    pub fn new(limits: PeerLimits) -> Self {
        let (calls, bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self(Arc::new(Shared { limits, of: DashMap::new(), calls, bytes }))
    }

    /// Takes a call of a peer in.
    ///
    /// # Errors
    /// If there are too many.
    fn enter(&self, address: IpAddr, kind: Kind) -> Result<Arc<Call>, Error> {
        let shared = &self.0;
        let kept = if kind == Kind::Probe { PROBES_MAX } else { 0 };
        add(&shared.calls, 1, CALLS_MAX + kept, "calls of all peers")?;
        let address = whole(address);
        // Counted under the lock of the entry, so that it is not removed meanwhile.
        let entered = {
            let peer = shared.of.entry(address).or_insert_with(|| Arc::new(self.stranger()));
            peer.take(kind, shared.limits.calls + kept).map(|()| Arc::clone(&peer))
        };
        match entered {
            Ok(peer) => Ok(Arc::new(Call { shared: Arc::clone(shared), address, peer, kind })),
            Err(error) => {
                shared.calls.fetch_sub(1, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    fn stranger(&self) -> Peer {
        Peer {
            calls: AtomicUsize::new(0),
            reflections: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            door: Arc::new(Semaphore::new(self.0.limits.unanswered)),
        }
    }
}

impl Peer {
    fn take(&self, kind: Kind, max: usize) -> Result<(), Error> {
        add(&self.calls, 1, max, "calls of one peer")?;
        if kind == Kind::Reflection {
            let taken =
                add(&self.reflections, 1, PEER_REFLECTIONS_MAX, "reflection calls of one peer");
            if taken.is_err() {
                self.calls.fetch_sub(1, Ordering::Relaxed);
            }
            return taken;
        }
        Ok(())
    }
}

/// Whose address it is: whoever has one address of IPv6 has the 2^64 beside it too.
fn whole(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let host = u128::from(u64::MAX);
            IpAddr::V6((address.to_bits() & !host).into())
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Adds unless it would be too much.
fn add(to: &AtomicUsize, more: usize, max: usize, what: &'static str) -> Result<(), Error> {
    if to.fetch_add(more, Ordering::Relaxed).saturating_add(more) > max {
        to.fetch_sub(more, Ordering::Relaxed);
        return Err(Error::RateLimited { what, limit: max as u64 });
    }
    Ok(())
}

/// A call under way.
struct Call {
    shared: Arc<Shared>,
    address: IpAddr,
    peer: Arc<Peer>,
    kind: Kind,
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.kind == Kind::Reflection {
            self.peer.reflections.fetch_sub(1, Ordering::Relaxed);
        }
        self.shared.calls.fetch_sub(1, Ordering::Relaxed);
        if self.peer.calls.fetch_sub(1, Ordering::Relaxed) == 1 {
            let idle = |_: &IpAddr, peer: &Arc<Peer>| peer.calls.load(Ordering::Relaxed) == 0;
            self.shared.of.remove_if(&self.address, idle);
        }
    }
}

/// Bytes that a call makes the server hold; given back when dropped.
struct Charge {
    call: Arc<Call>,
    bytes: usize,
}

impl Charge {
    const fn none(call: Arc<Call>) -> Self {
        Self { call, bytes: 0 }
    }

    /// The call holds so many bytes now.
    ///
    /// # Errors
    /// If they are more than before, and too many; the charge is as before then.
    fn set(&mut self, bytes: usize) -> Result<(), Error> {
        let Some(more) = bytes.checked_sub(self.bytes).filter(|more| *more > 0) else {
            self.give_back(self.bytes - bytes);
            return Ok(());
        };
        let Call { shared, peer, .. } = &*self.call;
        let max = shared.limits.bytes;
        add(&peer.bytes, more, max, "bytes of unfinished messages and unread answers of one peer")?;
        let all = "bytes of unfinished messages and unread answers of all peers";
        if let Err(error) = add(&shared.bytes, more, TRANSIT_BYTES_MAX, all) {
            peer.bytes.fetch_sub(more, Ordering::Relaxed);
            return Err(error);
        }
        self.bytes = bytes;
        Ok(())
    }

    fn give_back(&mut self, bytes: usize) {
        if bytes > 0 {
            self.call.peer.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.call.shared.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.bytes -= bytes;
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests;
