use crate::Service;

#[tokio::test]
async fn the_description_lists_what_is_served_and_refers_to_nothing_that_is_not_there() {
    let service = Service::start().await;
    service.description.check_whole(&[
        "delete /v1/products/{id}",
        "get /openapi.json",
        "get /v1/products",
        "get /v1/products/{id}",
        "patch /v1/products/{id}",
        "post /v1/products",
    ]);
}

#[tokio::test]
async fn every_operation_tells_its_refusals_as_problems_with_examples_that_are_valid() {
    let service = Service::start().await;
    let description = &service.description;
    description.check_refusals();
    for (method, path, operation) in description.operations() {
        let at = format!("{method} {path}");
        let responses = operation["responses"].as_object().unwrap();
        assert_eq!(responses.contains_key("429"), path != "/openapi.json", "{at}");
        for status in ["401", "403"] {
            assert_eq!(operation["security"].is_array(), responses.contains_key(status), "{at} {status}");
        }
    }
}

/// Of each body, the examples that its fields have make one that is as its schema says. That they work, the matrix of who
/// may do what shows, which sends them.
#[tokio::test]
async fn the_examples_of_bodies_are_what_their_schemas_say() {
    let service = Service::start().await;
    let mut checked = 0;
    for (method, path, operation) in service.description.operations() {
        let Some(schema) = operation.pointer("/requestBody/content/application~1json/schema") else { continue };
        let example = service.description.example(schema);
        service.description.check_body(&format!("{method} {path}"), schema, &example);
        checked += 1;
    }
    assert_eq!(checked, 2);
}

#[tokio::test]
async fn the_page_tells_of_every_operation_and_brings_nothing_from_elsewhere() {
    let service = Service::start().await;
    let page = service.client.get(format!("{}/docs", service.url)).send().await.unwrap();
    assert_eq!(page.status(), 200);
    let html = page.text().await.unwrap();
    service.description.check_page(&html);
}
