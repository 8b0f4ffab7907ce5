//! What is asked, taken from the path and from what follows the question mark. What makes no sense is refused like anything else.

use axum::{
    extract::{FromRequestParts, Path, Query},
    http::{StatusCode, request::Parts},
    response::Response,
};
use liege_core::Verdict;
use serde::de::DeserializeOwned;

use super::routes::no;

/// The vassal's name in the path.
#[derive(Debug)]
pub(super) struct Named(pub(super) String);

/// The parameters.
#[derive(Debug)]
pub(super) struct With<T>(pub(super) T);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let name = Path::<String>::from_request_parts(parts, state).await;
        name.map(|Path(name)| Self(name)).map_err(|why| refused(&why.body_text()))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for With<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let asked = Query::<T>::from_request_parts(parts, state).await;
        asked.map(|Query(asked)| Self(asked)).map_err(|why| refused(&why.body_text()))
    }
}

fn refused(why: &str) -> Response {
    no(StatusCode::BAD_REQUEST, Verdict::Refused, why)
}
