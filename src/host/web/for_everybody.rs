//! What a file may want hidden is served to nobody: a secret in every text of every cause, note and snapshot is found in no answer.
//!
//! The texts are found by the schemas of the types, so one that is added later is tried as well.

use std::{sync::Arc, time::Duration};

use liege_core::{Action, Cause, Death, Name, Note, Roots, Time, VassalView, View};
use schemars::{JsonSchema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{recent::Recent, status};
use crate::metrics::{Book, exposition};

/// Printable, and nothing else holds it.
const SECRET: &str = "S3cret";
/// The texts that are shown: names of vassals and directories, paths that are watched, words of closed lists.
const SHOWN: [&str; 7] = ["name", "path", "directory", "unread", "unusable.0", "restarts.0", "cause"];

/// Values of a type: each variant of each enum comes up, and each text that is not [`SHOWN`] is the secret.
fn filled<T: JsonSchema + DeserializeOwned>() -> Vec<T> {
    let schema = SchemaGenerator::default().into_root_schema_for::<T>().to_value();
    let values = fill(&schema, &schema, "");
    values.into_iter().map(|value| serde_json::from_value(value.clone()).unwrap_or_else(|e| panic!("{e}: {value}"))).collect()
}

fn fill(schema: &Value, root: &Value, key: &str) -> Vec<Value> {
    if let Some(reference) = schema["$ref"].as_str() {
        return fill(root.pointer(reference.trim_start_matches('#')).expect(reference), root, key);
    }
    if let Some(one) = schema.get("const") {
        return vec![one.clone()];
    }
    let list = |name: &str| schema[name].as_array();
    if let Some(values) = list("enum") {
        return values.clone();
    }
    if let Some(variants) = list("oneOf").or_else(|| list("anyOf")) {
        return variants.iter().flat_map(|variant| fill(variant, root, key)).filter(|value| !value.is_null()).collect();
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match kind.unwrap_or_else(|| panic!("{key}: {schema}")) {
        "object" => {
            let of = schema["properties"].as_object().into_iter().flatten();
            let fields = of.map(|(name, schema)| (name.clone(), fill(schema, root, name)));
            together(&fields.collect::<Vec<_>>()).into_iter().map(Value::Object).collect()
        }
        "array" => match list("prefixItems") {
            Some(items) => {
                let items = items.iter().enumerate();
                let items = items.map(|(n, schema)| (n.to_string(), fill(schema, root, &format!("{key}.{n}"))));
                let tuple = |of: Map<String, Value>| of.into_iter().map(|(_, value)| value).collect();
                together(&items.collect::<Vec<_>>()).into_iter().map(tuple).collect()
            }
            None => vec![Value::Array(fill(&schema["items"], root, key))],
        },
        "string" if SHOWN.contains(&key) => vec![json!("shown")],
        "string" => vec![json!(SECRET)],
        "integer" | "number" => vec![json!(7)],
        "boolean" => vec![json!(true)],
        "null" => vec![Value::Null],
        other => panic!("{key}: {other}"),
    }
}

/// As many as the field with the most values has.
fn together(fields: &[(String, Vec<Value>)]) -> Vec<Map<String, Value>> {
    let most = fields.iter().map(|(_, values)| values.len()).max().unwrap_or(1);
    let nth = |n: usize| fields.iter().map(move |(name, values)| (name.clone(), values[n % values.len()].clone())).collect();
    (0..most).map(nth).collect()
}

/// The notes of one end with this cause, and all others that hold a text.
fn notes(cause: &Cause) -> Vec<Note> {
    let (vassal, why, owner): (Name, Cause, _) = ("shown".into(), cause.clone(), None);
    let (secret, all) = (|| SECRET.to_owned(), || vec![SECRET.to_owned()]);
    let (lived, again_in, stop) = (Duration::from_secs(1), Some(Duration::ZERO), Some(Duration::ZERO));
    vec![
        Note::Reloading { vassal: vassal.clone(), why: secret() },
        Note::Rebuilding { vassal: vassal.clone(), why: secret() },
        Note::Stopping { vassal: vassal.clone(), why: why.clone() },
        Note::Destroying { vassal: vassal.clone(), why: why.clone(), lived, owner },
        Note::HeldUp { vassal: vassal.clone(), found: all() },
        Note::LeftBehind { vassal: vassal.clone(), found: all() },
        Note::Storm { vassal: vassal.clone(), layer: secret(), failed: 5 },
        Note::Held { vassal: vassal.clone(), layer: secret() },
        Note::StormOver { vassal: vassal.clone(), layer: secret(), lasted: lived, held: 2 },
        Note::Unsaved { vassal: vassal.clone(), killed: all(), stop, owner },
        Note::Tolerated { vassal: vassal.clone(), what: secret() },
        Note::Doubtful { vassal: vassal.clone(), what: secret() },
        Note::Undoubted { vassal: vassal.clone(), what: secret() },
        Note::DaemonStarted { vassal: vassal.clone(), pid: 2, daemon: secret() },
        Note::DaemonEnded { vassal: vassal.clone(), what: secret(), again_in: lived },
        Note::OrphanDied { vassal: vassal.clone(), pid: 2, name: secret(), how: secret() },
        Note::Mount { vassal: vassal.clone(), path: "shown".into(), state: "dead".into(), detail: secret() },
        Note::BadConfig { vassal: vassal.clone(), runs_on: true, diagnostics: Vec::new() },
        Note::Unread { vassal: vassal.clone(), runs_on: true, why: secret(), hangs: false },
        Note::Ended { vassal, cause: why, lived, again_in, owner, gave_up: false },
    ]
}

/// Everything that is served while this is so.
fn served(view: &View, recent: &Recent, book: &Arc<Book>) -> String {
    let looks = [true, false].map(|whole| status::json(view, recent, whole));
    format!("{}\n{}", looks.join("\n"), exposition(&Arc::new(view.clone()), book))
}

#[test]
fn no_text_of_a_cause_or_a_note_is_served() {
    let causes = filled::<Cause>();
    assert!(causes.iter().all(|cause| causes.iter().filter(|other| other.word() == cause.word()).count() < 4));
    for cause in causes {
        let (recent, book) = (Recent::default(), Arc::<Book>::default());
        let view =
            View { vassals: vec![VassalView::new("shown".into(), liege_core::Phase::Running, Time(0))], ..View::default() };
        for note in notes(&cause) {
            book.hear(Time(1), &note, false);
            recent.hear(&Action::Note(note));
        }
        let told = served(&view, &recent, &book);
        assert!(told.contains(cause.word()) && !told.contains(SECRET), "{cause:?}: {told}");
        let earlier = Recent::default();
        for death in filled::<Death>() {
            earlier.recall(&"shown".into(), &Death { detail: cause.clone(), ..death });
        }
        let told = served(&view, &earlier, &book);
        assert!(told.contains(cause.word()) && !told.contains(SECRET), "{cause:?}: {told}");
    }
}

#[test]
fn no_text_of_a_snapshot_is_served() {
    for mut view in filled::<View>() {
        assert!(serde_json::to_string(&view).unwrap().matches(SECRET).count() > 10, "the secret is there: {view:?}");
        let roots = Roots { last_cause: Some(SECRET.into()), last_failure: Some(SECRET.into()) };
        view.vassals.iter_mut().for_each(|vassal| vassal.roots = roots.clone());
        let told = served(&view, &Recent::default(), &Arc::default());
        assert!(told.contains("shown") && !told.contains(SECRET), "{told}");
    }
}
