//! The rules of the house, kept by tests instead of by eye: who may name whom ([`imports`]), what
//! must not be left lying about ([`words`]), how files are cut ([`shape`]), and documents that say
//! what the code says ([`documents`]).

mod documents;
mod imports;
mod shape;
mod tree;
mod words;
