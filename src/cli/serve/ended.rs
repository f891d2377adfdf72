//! Why a server ended, as an exit code: by what a supervisor has to do about it. docs/SETTINGS.md tells it.

use std::io;

use crate::cli::exit::Exit;
use crate::store::{self, OpenError, Remedy};
use crate::{config, engine, telemetry};

#[cfg(test)]
mod tests;

/// The code of a server that could not start, or failed.
#[must_use]
pub fn by(error: &anyhow::Error) -> Exit {
    if error.is::<config::Invalid>() || error.is::<telemetry::logs::Error>() {
        return Exit::Usage;
    }
    if let Some(error) = error.downcast_ref::<OpenError>() {
        return match error.remedy() {
            Remedy::Setting => Exit::Usage,
            Remedy::Operator => Exit::Refused,
            Remedy::Wait => Exit::Unreachable,
            Remedy::Held => Exit::Taken,
            Remedy::File => Exit::Io,
        };
    }
    if error.is::<engine::Error>() || error.is::<store::Error>() {
        return Exit::Unreachable;
    }
    match error.downcast_ref::<io::Error>().map(io::Error::kind) {
        // An address that is not this machine's yet comes with its network.
        Some(io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable) => Exit::Taken,
        Some(_) => Exit::Io,
        None => Exit::JobFailed,
    }
}
