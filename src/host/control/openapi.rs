//! The description of the control socket, made of the same table as the router; the schemas are made of the types.

use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::routes::{Query, Route, Said, routes};

/// OpenAPI 3.1.
pub(super) fn description() -> Value {
    let mut generator =
        SchemaSettings::draft2020_12().with(|s| s.definitions_path = "/components/schemas".into()).into_generator();
    let mut paths = Map::new();
    for route in routes() {
        let path = paths.entry(route.path.clone()).or_insert_with(|| json!({}));
        path[route.method] = operation(&route, &mut generator);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "The control socket of liege",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "HTTP over a unix socket. Root sees and does all; any other user sees and orders the vassals that run as him. \
                A moment in a snapshot is in microseconds since the daemon started; `now` is the snapshot's own.",
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        "servers": [{ "url": "http://localhost", "description": "curl --unix-socket /run/liege/control.sock" }],
        "paths": paths,
        "components": { "schemas": generator.take_definitions(true) },
    })
}

fn operation(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let mut parameters: Vec<Value> = route.queries.iter().map(query).collect();
    if route.path.contains("{name}") {
        parameters.push(json!({
            "name": "name", "in": "path", "required": true, "schema": { "type": "string" },
            "description": "The vassal's name: that of its file, or its path where directories are several; percent-encoded",
        }));
    }
    let mut responses = Map::new();
    for said in &route.answers {
        answer(responses.entry(said.status.as_str()).or_insert_with(|| json!({})), said, generator);
    }
    json!({
        "operationId": format!("{} {}", route.method, route.path),
        "summary": route.about,
        "parameters": parameters,
        "responses": responses,
    })
}

fn query(query: &Query) -> Value {
    let mut parameter = json!({
        "name": query.name, "in": "query", "description": query.about, "schema": { "type": query.kind },
    });
    if query.kind == "boolean" {
        parameter["allowEmptyValue"] = true.into();
    }
    parameter
}

/// One status may have two forms: the answer, and the stream.
fn answer(response: &mut Value, said: &Said, generator: &mut SchemaGenerator) {
    let description = match response["description"].as_str() {
        Some(first) => format!("{first}. {}", said.about),
        None => said.about.to_owned(),
    };
    response["description"] = description.into();
    response["content"][said.media] = json!({ "schema": (said.schema)(generator) });
}
