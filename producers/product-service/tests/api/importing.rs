//! The catalogue from a file: all of it or nothing, and told of as any other change is.

use fixtures::eventually;
use product_service::{Import, Imported, WrongRow, import, read};
use proptest::prelude::*;
use serde_json::json;
use service::http::TraceContext;

use crate::{Service, world::id_of};

async fn import_into(service: &Service, file: &str, dry_run: bool) -> Import {
    let rows = read(file.as_bytes()).unwrap().unwrap();
    let mut told = Vec::new();
    let trace = TraceContext::start();
    let done = import(&service.store, &rows, dry_run, &trace, |done| told.push(done)).await.unwrap();
    assert_eq!(told.last(), Some(&rows.len()), "{told:?}");
    done
}

fn done(created: usize, changed: usize, unchanged: usize) -> Import {
    Import::Done(Imported { created, changed, unchanged })
}

fn faults(file: &[u8]) -> Vec<String> {
    let wrong = read(file).unwrap().unwrap_err();
    let said = |WrongRow { line, column, problem }: &WrongRow| {
        format!("{line} {}: {problem}", column.as_deref().unwrap_or("-"))
    };
    wrong.iter().map(said).collect()
}

#[tokio::test]
async fn a_file_adds_what_is_new_and_changes_what_is_other_and_each_is_told_by_its_event() {
    let service = Service::start().await;
    let [tea, cake, rice] =
        [service.product("TEA").await, service.product("CAKE").await, service.product("RICE").await];
    service.change(rice, &json!({"status": "unavailable"})).await.expect(200);
    let file = "currency,sku,name,amountMinor\n\
                EUR,TEA,\"Darjeeling, \"\"Second\"\" Flush\",2099\n\
                EUR,CAKE,Darjeeling First Flush,1999\n\
                EUR,RICE,Darjeeling First Flush,5\n\
                JPY,SALT,塩,300\n";
    assert_eq!(import_into(&service, file, false).await, done(1, 2, 1));

    let changed = service.get(&format!("/v1/products/{tea}")).await.expect(200).json();
    assert_eq!(changed["name"], "Darjeeling, \"Second\" Flush");
    assert_eq!(changed["description"], "Hand-picked, 100 g", "the file says nothing of descriptions");
    assert_eq!(service.event_types_of(tea).await, ["product.created", "product.updated", "product.price.changed"]);
    assert_eq!(service.event_types_of(cake).await, ["product.created"]);
    assert_eq!(service.event_types_of(rice).await, ["product.created", "product.updated", "product.price.changed"]);
    let rice = service.get(&format!("/v1/products/{rice}")).await.expect(200).json();
    assert_eq!(rice["status"], "unavailable", "nor of what can be had");

    let salt = service.get("/v1/products?sku=SALT").await.expect(200).json()["items"][0].clone();
    assert_eq!(
        (&salt["name"], &salt["status"], &salt["price"]["currency"]),
        (&json!("塩"), &json!("available"), &json!("JPY"))
    );
    let told = service.envelopes_of(salt["productId"].as_str().unwrap().parse().unwrap()).await;
    let [(envelope, data)] = &told[..] else { panic!("{told:?}") };
    assert_eq!(envelope.event_type, "product.created");
    assert_eq!((&data["sku"], &data["price"]["amountMinor"]), (&json!("SALT"), &json!(300)));
}

#[tokio::test]
async fn the_same_file_again_changes_nothing_and_tells_nothing() {
    let service = Service::start().await;
    let file =
        "sku,name,description,amountMinor,currency,status\nT-1,Tea,,1,EUR,unavailable\nT-2,Tea,green,2,EUR,available\n";
    assert_eq!(import_into(&service, file, false).await, done(2, 0, 0));
    let before = service.stored().await;
    assert_eq!(import_into(&service, file, false).await, done(0, 0, 2));
    assert_eq!(service.stored().await, before);
    let emptied = "sku,name,description,amountMinor,currency\nT-2,Tea,,2,EUR\n";
    assert_eq!(import_into(&service, emptied, false).await, done(0, 1, 0));
    let tea = service.get("/v1/products?sku=T-2").await.expect(200).json()["items"][0].clone();
    assert!(tea["description"].is_null(), "{tea}");
}

#[tokio::test]
async fn a_dry_run_says_what_would_come_of_it_and_writes_nothing() {
    let service = Service::start().await;
    service.product("T-1").await;
    let before = service.stored().await;
    let file = "sku,name,amountMinor,currency\nT-1,Tea,1,EUR\nT-2,Tea,2,EUR\n";
    assert_eq!(import_into(&service, file, true).await, done(1, 1, 0));
    assert_eq!(service.stored().await, before);
}

#[tokio::test]
async fn where_a_row_can_not_be_what_the_file_says_none_is() {
    let service = Service::start().await;
    let gone = service.product("GONE").await;
    service.discontinue(gone).await.expect(204);
    let before = service.stored().await;
    for dry_run in [true, false] {
        let file = "sku,name,amountMinor,currency\nNEW,Tea,1,EUR\nGONE,Tea,1,EUR\n";
        let Import::Refused(wrong) = import_into(&service, file, dry_run).await else { panic!("it was imported") };
        let [WrongRow { line: 3, column: Some(column), problem }] = &wrong[..] else { panic!("{wrong:?}") };
        assert_eq!((column.as_str(), problem.as_str()), ("sku", "`GONE` is discontinued, and changes no more"));
        assert_eq!(service.stored().await, before);
    }
}

#[tokio::test]
async fn a_file_may_have_more_rows_than_one_statement_takes() {
    let service = Service::start().await;
    let rows: Vec<_> = (0..2_500).map(|number| format!("T-{number},Tea,{number},EUR")).collect();
    let file = format!("sku,name,amountMinor,currency\n{}\n", rows.join("\n"));
    assert_eq!(import_into(&service, &file, false).await, done(2_500, 0, 0));
    let (products, events) = service.stored().await;
    assert_eq!((products.len(), events), (2_500, 2_500));
    assert_eq!(import_into(&service, &file, false).await, done(0, 0, 2_500));
}

#[tokio::test]
async fn a_product_that_somebody_adds_meanwhile_is_changed_by_the_file() {
    let service = Service::start().await;
    let mut other = service.pool.begin().await.unwrap();
    let template = service.product("OTHER").await;
    // Not committed yet: the file's rows can't see it, and only run into it.
    let added = "INSERT INTO products (id, sku, name, price_minor, currency, status, sequence, created_at, updated_at)
                 SELECT gen_random_uuid(), 'T-1', name, price_minor, currency, status, sequence, created_at, updated_at
                   FROM products WHERE id = $1";
    sqlx::query(added).bind(template).execute(&mut *other).await.unwrap();
    let file = "sku,name,amountMinor,currency\nT-1,Assam,1,EUR\nT-2,Assam,1,EUR\n";
    let importing = import_into(&service, file, false);
    let committing = async {
        eventually("the import waits for it", async || {
            let waiting = "SELECT count(*) FROM pg_stat_activity
                            WHERE datname = current_database() AND wait_event_type = 'Lock'";
            let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(&service.pool).await.unwrap();
            (waiting == 1).then_some(())
        })
        .await;
        other.commit().await.unwrap();
    };
    let (imported, ()) = tokio::join!(importing, committing);
    assert_eq!(imported, done(1, 1, 0));
    let tea = service.get("/v1/products?sku=T-1").await.expect(200).json()["items"][0].clone();
    assert_eq!(tea["name"], "Assam");
    let told = service.event_types_of(tea["productId"].as_str().unwrap().parse().unwrap()).await;
    assert_eq!(told, ["product.updated", "product.price.changed"]);
}

/// Without waiting they would lock each other's rows, since each begins where the other ends.
#[tokio::test]
async fn of_two_imports_at_once_one_waits_for_the_other() {
    let service = Service::start().await;
    let rows: Vec<_> = (0..2_000).map(|number| format!("T-{number},Tea,{number},EUR\n")).collect();
    let header = "sku,name,amountMinor,currency\n";
    let file = format!("{header}{}", rows.concat());
    let turned = format!("{header}{}", rows.iter().rev().cloned().collect::<String>());
    let (one, other) = tokio::join!(import_into(&service, &file, false), import_into(&service, &turned, false));
    let both = [one, other];
    assert!(both.contains(&done(2_000, 0, 0)) && both.contains(&done(0, 0, 2_000)), "{both:?}");
}

#[tokio::test]
async fn what_is_imported_can_be_changed_as_any_other_product() {
    let service = Service::start().await;
    import_into(&service, "sku,name,amountMinor,currency\nT-1,Tea,1,EUR\n", false).await;
    let id = service.get("/v1/products?sku=T-1").await.expect(200).json()["items"][0]["productId"].clone();
    let id = id.as_str().unwrap().parse().unwrap();
    let answer = service.change(id, &json!({"name": "Assam"})).await;
    assert_eq!(id_of(&answer.expect(200)), id);
}

#[test]
fn everything_that_is_wrong_with_a_file_is_said_with_its_line_and_column() {
    let file = "sku,name,description,amountMinor,currency,status\n\
                T-1,Tea,\"two\nlines\",12.50,EUR,available\n\
                ,,,+5,eur,discontinued\n\
                T-2,Tea,,1,EUR\n\
                T-3,Tea,,1,EUR,available\n\
                T-3,Tea,,2,EUR,available\n";
    let said = faults(file.as_bytes());
    let expected = [
        "2 amountMinor: is `12.50`, should be a whole number",
        "4 sku: is ``, should be a SKU",
        "4 name: is ``, should be",
        "4 currency: is `eur`, should be a currency's code of three capital letters",
        "4 amountMinor: is `+5`, should be a whole number",
        "4 status: is `discontinued`, should be available or unavailable",
        "5 -: has 5 fields, should have 6",
        "7 sku: `T-3` is in line 6 as well",
    ];
    assert_eq!(said.len(), expected.len(), "{said:#?}");
    for (said, expected) in said.iter().zip(expected) {
        assert!(said.starts_with(expected), "{said} is not {expected}");
    }
}

#[test]
fn a_header_says_which_columns_there_are_and_must_be() {
    assert_eq!(
        faults(b"sku;name;price\n")[0],
        "1 -: no product has a `sku;name;price`; there are sku, name, amountMinor, currency and description, status"
    );
    assert!(faults(b"").iter().any(|fault| fault.starts_with("1 sku: is missing")));
    assert_eq!(faults(b"sku,sku,name,amountMinor,currency\n"), ["1 -: `sku` is there twice"]);
    let with_a_mark = "\u{feff}sku,name,amountMinor,currency\r\nT-1,Tea,1,EUR\r\n";
    assert_eq!(read(with_a_mark.as_bytes()).unwrap().unwrap().len(), 1, "as spreadsheets write it");
    assert_eq!(faults(b"sku,name,amountMinor,currency\nT-1,\xff,1,EUR\n"), ["2 -: is not UTF-8"]);
    let long = format!("sku,name,amountMinor,currency\nT-1,Tea,1,{}\n", "E".repeat(4_000));
    assert!(faults(long.as_bytes())[0].len() < 200, "what is shown has an end");
}

proptest! {
    #[test]
    fn any_bytes_are_rows_or_faults_with_lines_of_the_file(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut file = b"sku,name,amountMinor,currency\n".to_vec();
        file.extend(&bytes);
        let lines = file.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() as u64 + 1;
        if let Err(wrong) = read(&file[..]).unwrap() {
            prop_assert!(!wrong.is_empty());
            for fault in wrong {
                prop_assert!((2..=lines).contains(&fault.line), "{:?}", fault);
            }
        }
    }
}
