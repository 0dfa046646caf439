use std::collections::HashMap;

use schemas::{ProductCreatedV1, ProductDescription, ProductStatus, Sequence};
use serde::Serialize;
use service::http::TraceContext;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{ImportRow, WrongRow};
use crate::{
    Edit, Failure, Product, Store,
    change::Change,
    product::{Row, changing::tell_of},
};

/// How many products are written and told of by one statement.
const AT_ONCE: usize = 1_000;

/// What became of a file, or would.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    pub created: usize,
    pub changed: usize,
    /// They were like that already.
    pub unchanged: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Import {
    Done(Imported),
    /// These can't be as the file says, and so nothing was written.
    Refused(Vec<WrongRow>),
}

/// Makes the catalogue say what the file says, in one transaction; what the file doesn't name stays. `dry_run` says what would
/// come of it, and writes nothing. `told` is called with how many rows are done.
///
/// Idempotent. One at a time: another one waits for this one's end, and so does whoever changes a product that is in it.
pub async fn import(
    store: &Store,
    rows: &[ImportRow],
    dry_run: bool,
    trace: &TraceContext,
    mut told: impl FnMut(usize),
) -> Result<Import, Failure> {
    let mut connection = store.pool.acquire().await?;
    let mut change = store.begin(&mut connection, trace).await?;
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended('products import', 0))")
        .execute(change.connection())
        .await?;
    let (mut imported, mut wrong, mut done) = (Imported::default(), Vec::new(), 0);
    for rows in rows.chunks(AT_ONCE) {
        let written = Part::of(rows).write(&mut change, dry_run, &mut wrong).await?;
        imported.created += written.created;
        imported.changed += written.changed;
        imported.unchanged += written.unchanged;
        done += rows.len();
        told(done);
    }
    if !wrong.is_empty() {
        return Ok(Import::Refused(wrong));
    }
    if !dry_run {
        change.commit().await?;
    }
    Ok(Import::Done(imported))
}

/// Rows that are written together, by their SKUs.
struct Part<'a>(HashMap<&'a str, &'a ImportRow>);

impl<'a> Part<'a> {
    fn of(rows: &'a [ImportRow]) -> Self {
        Self(rows.iter().map(|row| (row.sku.as_str(), row)).collect())
    }

    async fn write(
        mut self,
        change: &mut Change<'_>,
        dry_run: bool,
        wrong: &mut Vec<WrongRow>,
    ) -> Result<Imported, Failure> {
        let mut imported = Imported::default();
        loop {
            let (mut edited, mut envelopes) = (Vec::new(), Vec::new());
            for before in self.existing(change.connection(), dry_run).await? {
                let Some(row) = self.0.remove(before.sku.as_str()) else { continue };
                let mut product = row.edit().of(&before);
                if product == before {
                    imported.unchanged += 1;
                } else if before.status == ProductStatus::Discontinued {
                    let problem = format!("`{}` is discontinued, and changes no more", row.sku.as_str());
                    wrong.push(WrongRow::new(row.line, "sku", problem));
                } else {
                    imported.changed += 1;
                    envelopes.extend(tell_of(change, &before, &mut product)?);
                    product.updated_at = change.now();
                    edited.push(product);
                }
            }
            let new: Vec<_> = self.0.values().map(|row| row.product(change)).collect();
            if dry_run {
                imported.created += new.len();
                return Ok(imported);
            }
            update(change.connection(), &edited).await?;
            let inserted = insert(change.connection(), &new).await?;
            imported.created += inserted.len();
            for product in new.iter().filter(|product| inserted.contains(&product.product_id)) {
                self.0.remove(product.sku.as_str());
                envelopes.push(change.envelope(product, ProductCreatedV1)?);
            }
            outbox::append_all(change.connection(), &envelopes).await?;
            // What is left was added by somebody else since it was looked for. It is there now.
            if self.0.is_empty() {
                return Ok(imported);
            }
        }
    }

    /// The products of these rows that there are, locked until the transaction ends unless they are only looked at.
    async fn existing(&self, connection: &mut PgConnection, look_only: bool) -> Result<Vec<Product>, Failure> {
        let skus: Vec<_> = self.0.keys().copied().collect();
        let rows = if look_only {
            sqlx::query_as!(
                Row,
                "SELECT id, sku, name, description, price_minor, currency, status, sequence, created_at, updated_at
                   FROM products WHERE sku = ANY($1)",
                &skus as &[&str],
            )
            .fetch_all(connection)
            .await?
        } else {
            sqlx::query_as!(
                Row,
                "SELECT id, sku, name, description, price_minor, currency, status, sequence, created_at, updated_at
                   FROM products WHERE sku = ANY($1)
                  ORDER BY id
                    FOR NO KEY UPDATE",
                &skus as &[&str],
            )
            .fetch_all(connection)
            .await?
        };
        rows.into_iter().map(Product::try_from).collect()
    }
}

impl ImportRow {
    fn edit(&self) -> Edit {
        Edit {
            name: Some(self.name.clone()),
            description: self.description.clone(),
            price: Some(self.price.clone()),
            status: self.status,
        }
    }

    fn product(&self, change: &Change<'_>) -> Product {
        let now = change.now();
        Product {
            product_id: change.new_id(),
            sku: self.sku.clone(),
            name: self.name.clone(),
            description: self.description.clone().flatten(),
            price: self.price.clone(),
            status: self.status.unwrap_or(ProductStatus::Available),
            created_at: now,
            updated_at: now,
            sequence: Sequence::after(None, now),
        }
    }
}

/// What products are, column by column.
struct Columns<'a> {
    ids: Vec<Uuid>,
    names: Vec<&'a str>,
    descriptions: Vec<Option<&'a str>>,
    prices: Vec<i64>,
    currencies: Vec<&'a str>,
    statuses: Vec<&'a str>,
    sequences: Vec<i64>,
}

impl<'a> Columns<'a> {
    fn of(products: &'a [Product]) -> Self {
        let all = || products.iter();
        Self {
            ids: all().map(|product| product.product_id).collect(),
            names: all().map(|product| product.name.as_str()).collect(),
            descriptions: all().map(|product| product.description.as_ref().map(ProductDescription::as_str)).collect(),
            prices: all().map(|product| product.price.amount_minor.get()).collect(),
            currencies: all().map(|product| product.price.currency.as_str()).collect(),
            statuses: all().map(|product| product.status.as_str()).collect(),
            sequences: all().map(|product| product.sequence.get()).collect(),
        }
    }
}

/// Answers which were inserted: those whose SKU nobody has.
async fn insert(connection: &mut PgConnection, products: &[Product]) -> Result<Vec<Uuid>, Failure> {
    let Some(now) = products.first().map(|product| product.created_at) else { return Ok(Vec::new()) };
    let skus: Vec<_> = products.iter().map(|product| product.sku.as_str()).collect();
    let Columns { ids, names, descriptions, prices, currencies, statuses, sequences } = Columns::of(products);
    let inserted = sqlx::query_scalar!(
        "INSERT INTO products
                (id, sku, name, description, price_minor, currency, status, sequence, created_at, updated_at)
         SELECT id, sku, name, description, price_minor, currency, status, sequence, $9, $9
           FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::int8[], $6::text[], $7::text[], $8::int8[])
                AS new (id, sku, name, description, price_minor, currency, status, sequence)
             ON CONFLICT (sku) DO NOTHING
         RETURNING id",
        &ids,
        &skus as &[&str],
        &names as &[&str],
        &descriptions as &[Option<&str>],
        &prices,
        &currencies as &[&str],
        &statuses as &[&str],
        &sequences,
        now,
    );
    Ok(inserted.fetch_all(connection).await?)
}

async fn update(connection: &mut PgConnection, products: &[Product]) -> Result<(), Failure> {
    let Some(now) = products.first().map(|product| product.updated_at) else { return Ok(()) };
    let Columns { ids, names, descriptions, prices, currencies, statuses, sequences } = Columns::of(products);
    sqlx::query!(
        "UPDATE products AS product
            SET name = edited.name, description = edited.description, price_minor = edited.price_minor,
                currency = edited.currency, status = edited.status, sequence = edited.sequence, updated_at = $8
           FROM unnest($1::uuid[], $2::text[], $3::text[], $4::int8[], $5::text[], $6::text[], $7::int8[])
                AS edited (id, name, description, price_minor, currency, status, sequence)
          WHERE product.id = edited.id",
        &ids,
        &names as &[&str],
        &descriptions as &[Option<&str>],
        &prices,
        &currencies as &[&str],
        &statuses as &[&str],
        &sequences,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}
