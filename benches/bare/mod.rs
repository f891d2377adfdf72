//! The baselines: what is left when jobplane is taken away. Each shares its runtime settings, accept loop, windows,
//! message sizes and processor with the side it is held against.

pub mod life;
pub mod server;
pub mod services;
pub mod sqlite;
