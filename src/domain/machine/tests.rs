//! What the machine promises, by name and by chance.

mod cancelling;
mod fixture;
mod life;
mod matrix;
mod properties;
mod retrying;
mod stuck;
mod timing;
