//! CSV (RFC 4180) with a header line, in UTF-8. Lines are counted as an editor counts them, the header's being the first.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    str::FromStr,
};

use csv::{ErrorKind, Position, ReaderBuilder, StringRecord};
use schemas::{InvalidText, MinorUnits, Price, ProductDescription, ProductName, ProductStatus, Sku};
use serde::Serialize;

/// What the file says of one product.
#[derive(Debug, Clone)]
pub struct ImportRow {
    pub line: u64,
    pub sku: Sku,
    pub name: ProductName,
    pub price: Price,
    /// `None` where the file has no such column: what is there stays.
    pub description: Option<Option<ProductDescription>>,
    /// Likewise; a new product is available then.
    pub status: Option<ProductStatus>,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WrongRow {
    pub line: u64,
    /// The column at fault, where it is one.
    pub column: Option<String>,
    pub problem: String,
}

const REQUIRED: [&str; 4] = ["sku", "name", "amountMinor", "currency"];
const OPTIONAL: [&str; 2] = ["description", "status"];
/// Of a value that is shown: enough to find it by.
const SHOWN: usize = 40;

impl WrongRow {
    pub(super) fn new(line: u64, column: impl Into<Option<&'static str>>, problem: impl Into<String>) -> Self {
        Self { line, column: column.into().map(str::to_owned), problem: problem.into() }
    }
}

/// Every row, or everything that is wrong with any.
///
/// # Errors
///
/// Where the file can't be read, which has nothing to do with what is in it.
pub fn read(file: impl io::Read) -> io::Result<Result<Vec<ImportRow>, Vec<WrongRow>>> {
    let mut reader = ReaderBuilder::new().from_reader(file);
    let columns = match reader.headers() {
        Ok(header) => match Columns::of(header) {
            Ok(columns) => columns,
            Err(wrong) => return Ok(Err(wrong)),
        },
        Err(error) => return Ok(Err(vec![wrong_line(error, 1)?])),
    };
    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    let mut seen: HashMap<Sku, u64> = HashMap::new();
    let mut record = StringRecord::new();
    loop {
        let before = reader.position().line();
        let read = match reader.read_record(&mut record) {
            Ok(false) => break,
            Ok(true) => columns.row(&record, record.position().map_or(before, Position::line), &mut wrong),
            Err(error) => {
                wrong.push(wrong_line(error, before)?);
                None
            }
        };
        let Some(row) = read else { continue };
        match seen.insert(row.sku.clone(), row.line) {
            Some(line) => {
                let problem = format!("`{}` is in line {line} as well", row.sku.as_str());
                wrong.push(WrongRow::new(row.line, "sku", problem));
            }
            None => rows.push(row),
        }
    }
    Ok(if wrong.is_empty() { Ok(rows) } else { Err(wrong) })
}

/// Where each column is.
struct Columns(BTreeMap<&'static str, usize>);

impl Columns {
    fn of(header: &StringRecord) -> Result<Self, Vec<WrongRow>> {
        let (mut columns, mut wrong) = (BTreeMap::new(), Vec::new());
        for (index, name) in header.iter().enumerate() {
            let known = REQUIRED.into_iter().chain(OPTIONAL).find(|known| *known == name);
            let problem = match known {
                None => format!(
                    "no product has a `{}`; there are {} and {}",
                    shown(name),
                    REQUIRED.join(", "),
                    OPTIONAL.join(", ")
                ),
                Some(known) if columns.insert(known, index).is_some() => format!("`{known}` is there twice"),
                Some(_) => continue,
            };
            wrong.push(WrongRow::new(1, None, problem));
        }
        let missing = REQUIRED.into_iter().filter(|name| !columns.contains_key(name));
        wrong.extend(
            missing
                .map(|name| WrongRow::new(1, name, "is missing in the header, whose columns are separated by commas")),
        );
        if wrong.is_empty() { Ok(Self(columns)) } else { Err(wrong) }
    }

    /// The row, unless anything in it is wrong.
    fn row(&self, record: &StringRecord, line: u64, wrong: &mut Vec<WrongRow>) -> Option<ImportRow> {
        let field = |name: &str| self.0.get(name).and_then(|index| record.get(*index));
        let mut say = |column, text: &str, expected: &str| {
            wrong.push(WrongRow::new(line, column, format!("is `{}`, should be {expected}", shown(text))));
        };
        let sku = text(field("sku"), "sku", &mut say);
        let name = text(field("name"), "name", &mut say);
        let currency = text(field("currency"), "currency", &mut say);
        let amount = field("amountMinor").unwrap_or_default();
        let whole = amount.parse::<i64>().ok().filter(|_| amount.bytes().all(|byte| byte.is_ascii_digit()));
        let amount_minor = whole.and_then(|amount| MinorUnits::try_from(amount).ok());
        if amount_minor.is_none() {
            say("amountMinor", amount, "a whole number of the currency's smallest unit, such as 1999 for 19.99 EUR");
        }
        let description = match field("description") {
            None => Some(None),
            Some("") => Some(Some(None)),
            said => text(said, "description", &mut say).map(|text| Some(Some(text))),
        };
        let status = match field("status") {
            None => Some(None),
            Some("available") => Some(Some(ProductStatus::Available)),
            Some("unavailable") => Some(Some(ProductStatus::Unavailable)),
            Some(other) => {
                say("status", other, "available or unavailable");
                None
            }
        };
        let price = Price { amount_minor: amount_minor?, currency: currency? };
        Some(ImportRow { line, sku: sku?, name: name?, price, description: description?, status: status? })
    }
}

fn text<T: FromStr<Err = InvalidText>>(
    field: Option<&str>,
    column: &'static str,
    say: &mut impl FnMut(&'static str, &str, &str),
) -> Option<T> {
    let text = field.unwrap_or_default();
    text.parse().map_err(|InvalidText { expected }| say(column, text, expected)).ok()
}

/// What is wrong with a line that is no row of the file's shape.
fn wrong_line(error: csv::Error, line: u64) -> io::Result<WrongRow> {
    let line = error.position().map_or(line, Position::line);
    Ok(match error.into_kind() {
        ErrorKind::Io(error) => return Err(error),
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            WrongRow::new(line, None, format!("has {len} fields, should have {expected_len}, as the header has"))
        }
        ErrorKind::Utf8 { .. } => WrongRow::new(line, None, "is not UTF-8"),
        other => WrongRow::new(line, None, format!("can't be read: {other:?}")),
    })
}

/// On one line, and not all of it.
fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().count() > SHOWN {
        shown.push('…');
    }
    shown
}
