//! The description and the router are one table: every described request is answered as described, by the types it names.

use serde_json::Value;

use super::super::openapi::description;
use super::*;

/// Whether a value is what a schema says; what the schemas of our types use, no more. The first disagreement in words.
fn check(value: &Value, schema: &Value, all: &Value, at: &str) -> Result<(), String> {
    let no = |why: &str| Err(format!("{at}: {why}: {value}"));
    if schema == &Value::Bool(true) {
        return Ok(());
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let target = all.pointer(reference.trim_start_matches('#')).ok_or(format!("{reference} is nowhere"))?;
        check(value, target, all, at)?;
    }
    for choice in ["anyOf", "oneOf"] {
        if let Some(choices) = schema[choice].as_array()
            && !choices.iter().any(|schema| check(value, schema, all, at).is_ok())
        {
            return no("fits none of its forms");
        }
    }
    if schema.get("const").is_some_and(|only| only != value) || schema["enum"].as_array().is_some_and(|e| !e.contains(value)) {
        return no("is not in the list");
    }
    let is = |kind: &str| match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("a type {other:?}"),
    };
    match &schema["type"] {
        Value::String(kind) if !is(kind) => return no(&format!("is no {kind}")),
        Value::Array(kinds) if !kinds.iter().any(|kind| is(kind.as_str().unwrap())) => return no("has another type"),
        _ => {}
    }
    if let Some(required) = schema["required"].as_array()
        && let Some(missing) = required.iter().find(|name| value.get(name.as_str().unwrap()).is_none())
    {
        return no(&format!("has no {missing}"));
    }
    if let (Some(properties), Some(object)) = (schema["properties"].as_object(), value.as_object()) {
        for (name, value) in object {
            let schema = properties.get(name).ok_or(format!("{at}.{name} is not described"))?;
            check(value, schema, all, &format!("{at}.{name}"))?;
        }
    }
    let items = value.as_array().into_iter().flatten();
    match &schema["items"] {
        Value::Null => Ok(()),
        schema => items.enumerate().try_for_each(|(n, item)| check(item, schema, all, &format!("{at}[{n}]"))),
    }
}

/// Asks, and holds the answer against the description; its status.
fn answered_as_described(scene: &Scene, all: &Value, method: &str, path: &str, asked: &str) -> u16 {
    let answer = scene.ask(&format!("{} {asked}", method.to_uppercase()));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
    let responses = &all["paths"][path][method]["responses"];
    let said = &responses[status.to_string()];
    assert!(said.is_object(), "{method} {asked}: {status} is not described: {responses}");
    if head.contains("content-type: text/plain") {
        assert!(said["content"]["text/plain"].is_object(), "{method} {asked}: is described as {said}");
        return status;
    }
    let schema = &said["content"]["application/json"]["schema"];
    let value = serde_json::from_str(body).unwrap_or_else(|e| panic!("{method} {asked}: {e}: {body}"));
    check(&value, schema, all, asked).unwrap_or_else(|why| panic!("{method} {asked}: {why}"));
    status
}

#[test]
fn every_described_request_is_answered_as_described() {
    let mut ill = vassal("a.ini");
    ill.mounts = [
        Some(liege_core::Health::Dead { errno: 107 }),
        Some(liege_core::Health::Healthy),
        Some(liege_core::Health::Unknown { errno: 3 }),
        None,
    ]
    .map(|health| liege_core::MountView { health, ..liege_core::MountView::new("/app") })
    .to_vec();
    ill.mounts[0].mount = Some(liege_core::Mounted { id: 1, device: (0, 3), is_root: true, ..liege_core::Mounted::default() });
    let unusable = vec![("bad.ini".into(), "bad.ini:1:1: no".to_owned())];
    let scene = Scene::of(View { vassals: vec![ill, vassal("b.ini")], unusable, ..View::default() });
    let death = liege_core::Death {
        at: 1.5,
        cause: "mountpoint_gone".into(),
        what: "gone".into(),
        detail: liege_core::Cause::MountpointGone { path: "/app".into(), what: "x".into() },
        count: 60,
        first: Some(1.0),
        gave_up: true,
        lived: 2.0,
        owner: None,
        again_in: None,
        unfinished: false,
        held_up_by: vec!["cat (pid 9)".into()],
        unsaved: vec!["fuse-zip (pid 7) of /app".into()],
        stop_timeout: Some(1.0),
        last_lines: vec!["2026-11-22T03:04:05.678Z app: oh".into()],
    };
    std::fs::create_dir(scene.dir.path().join("deaths")).unwrap();
    std::fs::write(scene.dir.path().join("deaths/a.ini.json"), serde_json::to_vec(&[death]).unwrap()).unwrap();
    scene.write_log("a.ini", "one\n");
    scene.events.hear(&Note::Ready { vassal: "a.ini".into(), took: Duration::ZERO }, |_| Some(None));

    let all = description();
    let served = scene.ask("GET /v1/openapi.json");
    assert_eq!(serde_json::from_str::<Value>(served.split_once("\r\n\r\n").unwrap().1).unwrap(), all);
    let mut asked = 0;
    for (path, operations) in all["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            asked += 1;
            assert_eq!(answered_as_described(&scene, &all, method, path, &path.replace("{name}", "a.ini")), 200, "{path}");
            if path.contains("{name}") {
                assert_eq!(answered_as_described(&scene, &all, method, path, &path.replace("{name}", "nobody")), 404, "{path}");
                assert_eq!(answered_as_described(&scene, &all, method, path, &path.replace("{name}", "%ff")), 400, "{path}");
            }
            let parameters = operation["parameters"].as_array().unwrap();
            for parameter in parameters.iter().filter(|p| p["in"] == "query" && p["name"] != "watch" && p["name"] != "follow") {
                let value = if parameter["name"] == "n" { "1" } else { "a.ini" };
                let asked = format!("{path}?{}={value}", parameter["name"].as_str().unwrap()).replace("{name}", "a.ini");
                assert_eq!(answered_as_described(&scene, &all, method, path, &asked), 200);
            }
            for parameter in parameters.iter().filter(|p| p["in"] == "query") {
                let (path_of_one, name) = (path.replace("{name}", "a.ini"), parameter["name"].as_str().unwrap());
                let twice = format!("{path_of_one}?{name}=1&{name}=1");
                assert_eq!(answered_as_described(&scene, &all, method, path, &twice), 400, "{twice}");
                if name == "n" {
                    assert_eq!(answered_as_described(&scene, &all, method, path, &format!("{path_of_one}?n=abc")), 400);
                }
            }
        }
    }
    assert_eq!(asked, 5 + 5 + 5 + 1, "a route that is not described, or two with one name");
    assert_eq!(answered_as_described(&scene, &all, "get", "/v1/vassals/{name}", "/v1/vassals/bad.ini"), 200);
}

#[test]
fn the_check_of_this_test_can_fail() {
    let all = description();
    let schema = &all["components"]["schemas"]["Reply"];
    let checked = |text: &str| check(&serde_json::from_str(text).unwrap(), schema, &all, "it");
    assert_eq!(checked(r#"{"answer":"done"}"#), Ok(()));
    for bad in [r#"{"answer":"perhaps"}"#, r#"{"why":"x"}"#, r#"{"answer":"done","more":1}"#, r#"{"answer":"done","why":7}"#] {
        assert!(checked(bad).is_err(), "{bad}");
    }
}
