//! The baselines: what is left when jobplane is taken away. Each shares its runtime settings, accept loop, windows,
//! message sizes and processor with the side it is held against.

#![allow(dead_code, reason = "each benchmark uses a part of it")]

pub mod life;
pub mod orders;
pub mod postgres;
pub mod server;
pub mod services;
pub mod sqlite;
pub mod store;
