//! A message, from the queue and back to it: received under a lease, read, settled.

pub(crate) mod dead_letter;
pub(crate) mod decode;
pub(crate) mod lease;
pub(crate) mod receive;
pub(crate) mod settle;
pub(crate) mod settlement;
