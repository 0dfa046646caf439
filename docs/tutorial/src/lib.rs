//! A small shop: its code is what `README.md` walks through, and its tests run what is written there.

mod deliveries;
mod order_placed;
mod orders;

pub use deliveries::{ScheduleDelivery, consumer};
pub use order_placed::{OrderPlacedV1, OrderPlacedV2};
pub use orders::{Order, OrderError, Orders, SENDS, SHOP};
