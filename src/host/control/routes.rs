//! The table of what can be asked at the control socket: the router and its description (`openapi.rs`) are both made of it.
//!
//! Root sees and does all; whoever else asks sees and orders the vassals that run as his own uid, and hears of no other. Every
//! answer that is not data is a [`Reply`]. Each connection is closed after its answer: a visit is one question.

use std::time::Duration;

use axum::{
    Json, Router,
    extract::ConnectInfo,
    http::{HeaderValue, StatusCode, header::CONNECTION},
    middleware::{from_fn_with_state, map_response},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, post},
};
use liege_core::{Detail, Happening, Order, Reply, Verdict, View};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::{House, asker::admitted, guest::Peer, log, openapi, orders, stream, views};
use crate::workers::NoThread;

/// One line of the table.
pub(super) struct Route {
    pub(super) method: &'static str,
    pub(super) path: String,
    /// A sentence for people.
    pub(super) about: &'static str,
    pub(super) queries: &'static [Query],
    pub(super) answers: Vec<Said>,
    handler: MethodRouter<House>,
}

/// A parameter after the question mark.
pub(super) struct Query {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// `boolean`, `integer` or `string`; a boolean without a value is true.
    pub(super) kind: &'static str,
}

/// A possible answer.
pub(super) struct Said {
    pub(super) status: StatusCode,
    pub(super) about: &'static str,
    pub(super) media: &'static str,
    pub(super) schema: fn(&mut SchemaGenerator) -> Schema,
}

const JSON: &str = "application/json";
const STREAM: &str = "text/event-stream";

const WATCH: Query =
    Query { name: "watch", about: "Go on for ever: the snapshot again when something has changed", kind: "boolean" };
const USAGE: Query = Query { name: "usage", about: "With the memory and processor time of each vassal", kind: "boolean" };
const VASSAL: Query = Query { name: "vassal", about: "Only what is about this one", kind: "string" };
const LINES: Query = Query { name: "n", about: "So many lines, 100 unless said otherwise, or all", kind: "string" };
const LAST: Query = Query { name: "n", about: "At most so many of the past, the newest", kind: "integer" };
const FOLLOW: Query =
    Query { name: "follow", about: "Go on for ever, as a client's Accept: text/event-stream asks for too", kind: "boolean" };

const FORCE: Query = Query {
    name: "force",
    about: "Take a directory for empty that was unmounted, replaced or is gone, without waiting for emperor-shrink-guard",
    kind: "boolean",
};

fn said<T: JsonSchema>(status: StatusCode, about: &'static str) -> Said {
    Said { status, about, media: JSON, schema: SchemaGenerator::subschema_for::<T> }
}

fn streamed<T: JsonSchema>(about: &'static str) -> Said {
    Said { status: StatusCode::OK, about, media: STREAM, schema: SchemaGenerator::subschema_for::<T> }
}

fn unknown() -> Said {
    said::<Reply>(StatusCode::NOT_FOUND, "Nobody is called so, or nobody of the asker's")
}

fn senseless() -> Said {
    said::<Reply>(StatusCode::BAD_REQUEST, "The name or a parameter makes no sense: why")
}

fn full() -> Said {
    said::<Reply>(StatusCode::TOO_MANY_REQUESTS, "So many of this user's connections stay already")
}

fn ending() -> Said {
    said::<Reply>(StatusCode::SERVICE_UNAVAILABLE, "The daemon is ending, or lacks a thread or a descriptor: why")
}

/// All of them.
pub(super) fn routes() -> Vec<Route> {
    let read = |path: &str, about, queries, answers, handler| Route {
        method: "get",
        path: path.to_owned(),
        about,
        queries,
        answers,
        handler,
    };
    let mut routes = vec![
        read(
            "/v1/vassals",
            "The snapshot: all vassals, and the files that never were usable",
            &[WATCH, USAGE],
            vec![
                said::<View>(StatusCode::OK, "The snapshot"),
                streamed::<View>("With watch: server-sent events called vassals, a snapshot each"),
                senseless(),
                full(),
                ending(),
            ],
            get(views::all),
        ),
        read(
            "/v1/vassals/{name}",
            "Everything about one vassal, with what it uses and its last ends",
            &[],
            vec![said::<Detail>(StatusCode::OK, "The vassal"), senseless(), unknown(), ending()],
            get(views::one),
        ),
        read(
            "/v1/vassals/{name}/log",
            "What it says: its last lines, each with its time and who said it; root may also ask for one that is gone",
            &[LINES, FOLLOW],
            vec![
                Said {
                    status: StatusCode::OK,
                    about: "The lines",
                    media: "text/plain",
                    schema: SchemaGenerator::subschema_for::<String>,
                },
                streamed::<String>(
                    "For who accepts them: server-sent events called line, one each; one called broken has the reason why there are no more",
                ),
                senseless(),
                unknown(),
                said::<Reply>(StatusCode::CONFLICT, "It cannot be read: why"),
                full(),
                ending(),
            ],
            get(log::log),
        ),
        read(
            "/v1/events",
            "What happened lately, and what happens",
            &[VASSAL, LAST, FOLLOW],
            vec![
                said::<Vec<Happening>>(
                    StatusCode::OK,
                    "The last thousands, the newest last. One of the kind missed stands for those a slow reader lost",
                ),
                streamed::<Happening>(
                    "With follow: server-sent events called happening; one called missed has the number of those a slow reader lost. \
                        The Last-Event-ID of one that broke off is where it goes on",
                ),
                senseless(),
                full(),
            ],
            get(stream::events),
        ),
        read(
            "/v1/openapi.json",
            "This description",
            &[],
            vec![said::<serde_json::Value>(StatusCode::OK, "OpenAPI 3.1")],
            get(|| async { Json(openapi::description()) }),
        ),
    ];
    routes.extend(Order::ALL.map(order_one));
    routes.extend(Order::ALL.map(order_each));
    routes.push(Route {
        method: "post",
        path: "/v1/rescan".to_owned(),
        about: "Look at all directories now (root only)",
        queries: &[FORCE],
        answers: vec![
            said::<Reply>(StatusCode::OK, "They are being looked at"),
            senseless(),
            said::<Reply>(StatusCode::CONFLICT, "No: why"),
            ending(),
        ],
        handler: post(orders::rescan),
    });
    for route in &mut routes {
        let about = "The asker is not believed to be who its uid says, or has to be root: why";
        route.answers.push(said::<Reply>(StatusCode::FORBIDDEN, about));
    }
    routes
}

fn order_one(order: Order) -> Route {
    let answers = vec![
        said::<Reply>(StatusCode::OK, "Done: it is begun; or nothing: it is so already"),
        senseless(),
        unknown(),
        said::<Reply>(StatusCode::CONFLICT, "Refused: why"),
        ending(),
    ];
    let about = match order {
        Order::Start => "Run it again after a stop, or without waiting any longer",
        Order::Stop => {
            "End it until a start: a change of its file does not start it. If its file goes, one that comes later is a new vassal"
        }
        Order::Restart => "Destroy it and let it be born again, clean; no failure of it",
        Order::Reload => "Reload it as if its file had been touched",
        Order::Clear => "Forget its failures: if it waits it starts now",
    };
    let handler = post(move |house, peer, name| orders::one(house, peer, name, order));
    Route { method: "post", path: format!("/v1/vassals/{{name}}/{}", order.word()), about, queries: &[], answers, handler }
}

fn order_each(order: Order) -> Route {
    let answers = vec![
        said::<Reply>(StatusCode::OK, "Done: at least one has begun; or nothing"),
        said::<Reply>(StatusCode::CONFLICT, "Refused by all that had something to do: the first reason"),
        ending(),
    ];
    let about = match order {
        Order::Start | Order::Stop | Order::Reload | Order::Clear => "The same for every vassal of the asker's",
        Order::Restart => "The same for every vassal of the asker's that is not stopped, all at once",
    };
    let handler = post(move |house, peer| orders::each(house, peer, order));
    Route { method: "post", path: format!("/v1/{}", order.word()), about, queries: &[], answers, handler }
}

/// The router of the table.
pub(super) fn router(house: House) -> Router {
    let router = routes().into_iter().fold(Router::new(), |router, route| router.route(&route.path, route.handler));
    router
        .method_not_allowed_fallback(|| async { no(StatusCode::METHOD_NOT_ALLOWED, Verdict::Refused, "not by this method") })
        .fallback(|ConnectInfo(peer): ConnectInfo<Peer>| async move {
            tracing::debug!(target: "control", uid = peer.uid, "no such request");
            no(StatusCode::NOT_FOUND, Verdict::Unknown, "no such request; GET /v1/openapi.json lists them")
        })
        .layer(from_fn_with_state(house.clone(), admitted))
        .layer(map_response(closes)) // the outermost: of refusals too
        .with_state(house)
}

/// How long whoever is not root waits for any answer: nobody has the daemon work for him alone.
pub(super) const PACE: Duration = Duration::from_millis(20);

/// Who could go on asking would hold his place for ever.
async fn closes(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// An answer without data.
pub(super) fn no(status: StatusCode, answer: Verdict, why: &str) -> Response {
    (status, Json(Reply { answer, why: Some(why.to_owned()) })).into_response()
}

/// He has enough of us.
pub(super) fn too_many() -> Response {
    no(StatusCode::TOO_MANY_REQUESTS, Verdict::Refused, "so many of your connections stay already")
}

/// The daemon cannot look that up now.
pub(super) fn no_thread() -> Response {
    no(StatusCode::SERVICE_UNAVAILABLE, Verdict::Refused, &format!("{NoThread}; ask again later"))
}

/// This user has had so much looked up that it has to wait.
pub(super) fn rests() -> Response {
    let why = "your vassals have so many processes and descriptors that looking at them takes long; ask again later";
    no(StatusCode::SERVICE_UNAVAILABLE, Verdict::Refused, why)
}

/// The loop has ended, or is about to.
pub(super) fn is_ending() -> Response {
    no(StatusCode::SERVICE_UNAVAILABLE, Verdict::Refused, "the daemon is ending")
}
