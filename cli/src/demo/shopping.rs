//! What somebody keeps at user-service, and how the catalogue reaches it: by events, since no service calls another.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Context, ensure};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::{front_door::FrontDoor, processes::Services, story::Story};

const CATALOGUE: &str = include_str!("../../../producers/product-service/examples/catalogue.csv");
const WANTED: &str = "TEA-0042";
/// How long an event may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Somebody with an access token, at one of the services.
struct Shopper<'a> {
    door: FrontDoor,
    token: &'a str,
    from: Ipv4Addr,
}

impl Shopper<'_> {
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.door.request(self.from, method, path).bearer_auth(self.token)
    }

    /// Answers the body, and the tag of its version.
    async fn send(&self, request: RequestBuilder, status: u16) -> anyhow::Result<(Value, String)> {
        let answer = request.send().await.context("a service did not answer")?;
        let (got, url) = (answer.status(), answer.url().clone());
        let tag = answer.headers().get("etag").and_then(|tag| tag.to_str().ok()).unwrap_or_default().to_owned();
        let text = answer.text().await.unwrap_or_default();
        ensure!(got.as_u16() == status, "{} was answered with {got} instead of {status}: {text}", url.path());
        Ok((if got == StatusCode::NO_CONTENT { Value::Null } else { serde_json::from_str(&text)? }, tag))
    }

    async fn get(&self, path: &str) -> anyhow::Result<(Value, String)> {
        self.send(self.request(Method::GET, path), 200).await
    }

    /// Waits until what is wished for is as it should be.
    async fn until_the_wish_is(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (list, _) = self.get("/v1/me/wishlist").await?;
            if is_so(&list["items"][0]) {
                return Ok(list["items"][0].clone());
            }
            ensure!(Instant::now() < deadline, "after {PATIENCE:?} the wishlist does not show {what}: {list}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Tells it step by step; an answer that is not as it should be ends the demo.
pub async fn take(
    services: &Services<'_>,
    from: Ipv4Addr,
    own_token: &str,
    administrators_token: &str,
    story: &Story,
) -> anyhow::Result<()> {
    let (products, users) = (FrontDoor::to(&services.product_url)?, FrontDoor::to(&services.user_url)?);
    let administrator = Shopper { door: products, token: administrators_token, from };
    let customer = Shopper { door: users, token: own_token, from };

    let file = services.file("catalogue.csv", CATALOGUE)?;
    story.say("$ waypost products import catalogue.csv");
    let imported = services.tool(&["products", "import", &file]).await?;
    story.say(&format!("  {}", imported.trim()));

    let (found, _) = administrator.get(&format!("/v1/products?sku={WANTED}")).await?;
    let product = found["items"][0]["productId"].as_str().context("the catalogue does not have it")?.to_owned();
    let wish = format!("/v1/me/wishlist/{product}");
    customer.send(customer.request(Method::PUT, &wish), 201).await?;
    customer.until_the_wish_is("its product", |wish| wish["productState"] == "known").await?;
    // Where the product's event came after the wish, nobody here knew its price then.
    customer.send(customer.request(Method::DELETE, &wish), 204).await?;
    let (added, _) = customer.send(customer.request(Method::PUT, &wish), 201).await?;
    ensure!(added["priceWhenAdded"]["amountMinor"] == 1999, "it was added for another price: {added}");

    let path = format!("/v1/products/{product}");
    let (_, seen) = administrator.get(&path).await?;
    let cheaper = json!({ "price": { "amountMinor": 1499, "currency": "EUR" } });
    let change = || administrator.request(Method::PATCH, &path).header("if-match", &seen).json(&cheaper);
    administrator.send(change(), 200).await?;
    administrator.send(change(), 412).await?;
    let wish = customer.until_the_wish_is("the new price", |wish| wish["price"]["amountMinor"] == 1499).await?;
    ensure!(wish["priceWhenAdded"]["amountMinor"] == 1999, "the price when it was added has changed: {wish}");
    story.say("a wishlist shows 14.99 EUR, and 19.99 EUR when it was added; who saw the old price could not change the new one");

    administrator.send(administrator.request(Method::DELETE, &path), 204).await?;
    customer.until_the_wish_is("that it is gone", |wish| wish["availability"] == "discontinued").await?;
    story.say("the product was discontinued, and stays on the list, marked");

    let address = json!({
        "recipient": "Ada Lovelace", "line1": "12 St James's Square", "city": "London", "postalCode": "SW1Y 4LE",
        "country": "GB", "isDefaultShipping": true,
    });
    let key = Uuid::new_v4().to_string();
    let add = || customer.request(Method::POST, "/v1/me/addresses").header("idempotency-key", &key).json(&address);
    let (first, _) = customer.send(add(), 201).await?;
    let (again, _) = customer.send(add(), 201).await?;
    let (all, _) = customer.get("/v1/me/addresses").await?;
    let kept = all["items"].as_array().map_or(0, Vec::len);
    ensure!(first == again && kept == 1, "one address was added twice: {all}");
    let card = json!({ "provider": "acme-pay", "providerToken": "4111 1111 1111 1111", "brand": "visa", "last4": "1111",
                       "expMonth": 12, "expYear": 2031 });
    let pay = customer.request(Method::POST, "/v1/me/payment-methods").header("idempotency-key", &key).json(&card);
    let (refused, _) = customer.send(pay, 422).await?;
    ensure!(!refused.to_string().contains("1111"), "a card's number is repeated: {refused}");
    story.say("an address was sent twice and is there once; what looks like the number of a card was refused, and not repeated");
    Ok(())
}

/// Whose account is erased is gone at user-service as well, whatever their token says.
pub async fn is_gone(services: &Services<'_>, from: Ipv4Addr, own_token: &str) -> anyhow::Result<()> {
    let customer = Shopper { door: FrontDoor::to(&services.user_url)?, token: own_token, from };
    customer.send(customer.request(Method::GET, "/v1/me/profile"), 410).await.map(drop)
}
