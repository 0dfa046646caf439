//! Which letters of a snapshot a filter means, in the order of their deaths: the same for every command.

use sqlx::PgPool;

use crate::{Filter, Snapshot, SnapshotError};

/// Letters that are worth reading together: one look into the database for all of them, and not too much in memory.
pub const READ_TOGETHER: usize = 500;

impl Snapshot {
    /// The numbers of the letters that `filter` means, those that died first at the beginning, and no more than its limit.
    pub async fn choose(&self, filter: &Filter, pool: &PgPool) -> Result<Vec<u32>, SnapshotError> {
        let mut chosen = Vec::new();
        let all: Vec<u32> = (0..self.letters() as u32).collect();
        for numbers in all.chunks(READ_TOGETHER) {
            let letters = self.read(numbers, pool).await?;
            let meant = numbers.iter().zip(letters).filter(|(_, letter)| filter.matches(letter));
            chosen.extend(meant.map(|(number, letter)| (letter.died_at(), letter.key(), *number)));
        }
        chosen.sort_unstable();
        chosen.truncate(filter.limit.unwrap_or(usize::MAX));
        Ok(chosen.into_iter().map(|(.., number)| number).collect())
    }
}
