//! The OpenAPI 3.1 document of a component, from its table.

use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{Asker, Listing, Problem};

/// The document of the component whose operations are `listings`.
pub fn openapi(component: &str, listings: &[Listing]) -> Value {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut generator = settings.into_generator();
    let problem = generator.subschema_for::<Problem>();
    let mut paths = Map::new();
    for listing in listings {
        let path =
            paths.entry(format!("/{component}{}", listing.path)).or_insert_with(|| json!({}));
        path[listing.method.to_ascii_lowercase()] = operation(listing, &problem, &mut generator);
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": format!("Mandate {component}"), "version": "v1" },
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" } },
        },
    })
}

fn operation(
    listing: &Listing,
    problem: &schemars::Schema,
    generator: &mut SchemaGenerator,
) -> Value {
    let fields = (listing.fields)(generator);
    let fields = resolve(fields.as_value(), generator);
    let reply = (listing.reply)(generator);
    let in_path = |name: &str| listing.path.contains(&format!("{{{name}}}"));
    let required: Vec<Value> = fields["required"].as_array().cloned().unwrap_or_default();
    let empty = Map::new();
    let properties = fields["properties"].as_object().unwrap_or(&empty);
    let has_body = !matches!(listing.method, "GET" | "DELETE");
    let mut parameters = Vec::new();
    let mut body = Map::new();
    for (name, schema) in properties {
        let is_required = required.iter().any(|field| field == name);
        if in_path(name) {
            parameters
                .push(json!({ "name": name, "in": "path", "required": true, "schema": schema }));
        } else if has_body {
            body.insert(name.clone(), schema.clone());
        } else {
            parameters.push(
                json!({ "name": name, "in": "query", "required": is_required, "schema": schema }),
            );
        }
    }
    if listing.method == "POST" {
        parameters.push(json!({ "name": "Idempotency-Key", "in": "header", "schema": { "type": "string", "maxLength": 200 } }));
    }
    let mut document = json!({
        "operationId": listing.permission,
        "summary": listing.summary.trim(),
        "parameters": parameters,
        "responses": {
            "200": { "description": "done", "content": { "application/json": { "schema": reply } } },
            "default": { "description": "a problem", "content": { "application/problem+json": { "schema": problem } } },
        },
    });
    if has_body {
        let required: Vec<&Value> = required
            .iter()
            .filter(|name| name.as_str().is_some_and(|name| !in_path(name)))
            .collect();
        let schema = json!({ "type": "object", "properties": body, "required": required });
        document["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": schema } } });
    }
    if !listing.askers.contains(&Asker::Public) {
        document["security"] = json!([{ "token": [] }]);
    }
    document
}

/// The schema itself, where `schema` is only a reference to one.
fn resolve(schema: &Value, generator: &SchemaGenerator) -> Value {
    let name = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
    name.and_then(|name| generator.definitions().get(name)).unwrap_or(schema).clone()
}
