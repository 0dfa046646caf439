use service::http::IfMatch;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Address, AddressEdit, NewAddress};
use crate::{
    Refusal, Store,
    idempotency::{Attempt, Made},
    limits::ADDRESSES,
    profile::Caller,
    writing::Writing,
};

/// Adds an address, once for each attempt, however often it is made.
pub async fn add(store: &Store, caller: Caller, attempt: &Attempt, new: NewAddress) -> Result<Made, Refusal> {
    let mut connection = store.pool.acquire().await?;
    let mut writing = store.begin(&mut connection, caller).await?;
    if let Some(made) = writing.earlier(attempt).await? {
        return Ok(made);
    }
    let user = writing.user();
    let kept = sqlx::query_scalar!(r#"SELECT count(*) AS "kept!" FROM addresses WHERE user_id = $1"#, user);
    if kept.fetch_one(writing.connection()).await? >= i64::from(ADDRESSES) {
        return Err(Refusal::TooMany(ADDRESSES));
    }
    let address = new.address(writing.new_id(), writing.now());
    put(&mut writing, &address).await?;
    let made = Made {
        location: format!("/v1/me/addresses/{}", address.id),
        etag: address.tag().to_string(),
        body: serde_json::to_string(&address)?,
    };
    writing.keep(attempt, &made).await?;
    writing.commit().await?;
    Ok(made)
}

pub async fn change(
    store: &Store,
    caller: Caller,
    id: Uuid,
    seen: &IfMatch,
    edit: AddressEdit,
) -> Result<Address, Refusal> {
    let mut connection = store.pool.acquire().await?;
    let mut writing = store.begin(&mut connection, caller).await?;
    let before = Address::own(&mut writing, id).await?;
    if !seen.holds_for(before.tag()) {
        return Err(Refusal::Outdated);
    }
    let mut address = before.clone();
    address.edit(edit);
    if address == before {
        return Ok(address);
    }
    address.version += 1;
    address.updated_at = writing.now();
    put(&mut writing, &address).await?;
    writing.commit().await?;
    Ok(address)
}

/// Where a default goes, no other address becomes it.
pub async fn remove(store: &Store, caller: Caller, id: Uuid, seen: &IfMatch) -> Result<(), Refusal> {
    let mut connection = store.pool.acquire().await?;
    let mut writing = store.begin(&mut connection, caller).await?;
    let address = Address::own(&mut writing, id).await?;
    if !seen.holds_for(address.tag()) {
        return Err(Refusal::Outdated);
    }
    sqlx::query!("DELETE FROM addresses WHERE id = $1", id).execute(writing.connection()).await?;
    writing.commit().await
}

/// The one before is the default no more, before this one is: there are never two.
async fn put(writing: &mut Writing<'_>, address: &Address) -> Result<(), Refusal> {
    let (user, now) = (writing.user(), writing.now());
    let connection: &mut PgConnection = writing.connection();
    if address.is_default_shipping || address.is_default_billing {
        sqlx::query!(
            "UPDATE addresses
                SET is_default_shipping = is_default_shipping AND NOT $3, is_default_billing = is_default_billing AND NOT $4,
                    version = version + 1, updated_at = $5
              WHERE user_id = $1 AND id <> $2 AND (is_default_shipping AND $3 OR is_default_billing AND $4)",
            user,
            address.id,
            address.is_default_shipping,
            address.is_default_billing,
            now,
        )
        .execute(&mut *connection)
        .await?;
    }
    address.store(user, connection).await
}

impl NewAddress {
    fn address(self, id: Uuid, now: OffsetDateTime) -> Address {
        let Self { recipient, line1, line2, city, region, postal_code, country, phone, .. } = self;
        Address {
            id,
            recipient: recipient.as_str().to_owned(),
            line1: line1.as_str().to_owned(),
            line2: line2.map(|line| line.as_str().to_owned()),
            city: city.as_str().to_owned(),
            region: region.map(|region| region.as_str().to_owned()),
            postal_code: postal_code.map(|code| code.as_str().to_owned()),
            country: country.as_str().to_owned(),
            phone: phone.map(|phone| phone.as_str().to_owned()),
            is_default_shipping: self.is_default_shipping,
            is_default_billing: self.is_default_billing,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }
}
