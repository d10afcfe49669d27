//! A peer of the console: a table of operations with a function for each.

use std::sync::{Arc, Mutex, MutexGuard};

use api::{Asker, Kind, Operation, Problem, http::decode, identity::User};
use bytes::Bytes;
use http::{Method, Request, Response, header};
use percent_encoding::percent_decode_str;

use super::{OPERATOR_TOKEN, State, TOKEN, data, is_foreign};

/// What is asked with a body and changes nothing.
const QUESTIONS: [&str; 2] = ["identity.getNames", "configurator.getHosts"];

/// Who asks, and how.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'r> {
    state: &'r Mutex<State>,
    pub(crate) token: Option<&'r str>,
    pub(crate) key: Option<&'r str>,
}

impl<'r> Asked<'r> {
    pub(crate) fn state(&self) -> MutexGuard<'r, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn user(&self) -> Option<User> {
        let token = self.token.filter(|token| !self.state().ended.contains(*token))?;
        [(TOKEN, data::ada()), (OPERATOR_TOKEN, data::operator())]
            .into_iter()
            .find_map(|(known, user)| (known == token).then_some(user))
    }

    pub(crate) fn nobody() -> Problem {
        Problem::new(Kind::Unauthenticated, "token_refused", "the token is worth nothing")
    }
}

type Answer = Box<dyn Fn(&Request<Bytes>, &Mutex<State>) -> Option<Response<Bytes>> + Send + Sync>;

pub(crate) struct Peer {
    state: Arc<Mutex<State>>,
    answers: Vec<Answer>,
}

impl Peer {
    pub(crate) fn new(state: Arc<Mutex<State>>) -> Self {
        Self { state, answers: Vec::new() }
    }

    /// Answers `O` with `handle`, for whom it is meant.
    pub(crate) fn on<O: Operation>(
        &mut self,
        handle: impl Fn(Asked<'_>, O) -> Result<O::Reply, Problem> + Send + Sync + 'static,
    ) {
        self.answers.push(Box::new(move |request, state| {
            let path = (*request.method() == O::METHOD).then(|| matched::<O>(request))??;
            let outcome =
                allowed::<O>(request, &path, state).and_then(|(asked, op)| handle(asked, op));
            Some(match outcome {
                Ok(reply) => response(200, serde_json::to_vec(&reply).unwrap()),
                Err(problem) => response(problem.status, serde_json::to_vec(&problem).unwrap()),
            })
        }));
    }

    pub(crate) fn answer(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let found = self.answers.iter().find_map(|answer| answer(request, &self.state));
        found.unwrap_or_else(|| response(404, Vec::new()))
    }
}

fn response(status: u16, body: Vec<u8>) -> Response<Bytes> {
    Response::builder().status(status).body(body.into()).unwrap()
}

type Fields = Vec<(&'static str, String)>;

fn matched<O: Operation>(request: &Request<Bytes>) -> Option<Fields> {
    let path = request.uri().path().strip_prefix('/')?.strip_prefix(O::COMPONENT)?;
    let (wanted, given): (Vec<_>, Vec<_>) =
        (O::PATH.split('/').collect(), path.split('/').collect());
    let mut fields = Vec::new();
    for (wanted, given) in wanted.iter().zip(&given) {
        match wanted.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => fields.push((name, percent_decode_str(given).decode_utf8().ok()?.into())),
            None if wanted == given => {}
            None => return None,
        }
    }
    (wanted.len() == given.len()).then_some(fields)
}

/// The rules of the platform as far as a page can tell them apart.
fn allowed<'r, O: Operation>(
    request: &'r Request<Bytes>,
    path: &Fields,
    state: &'r Mutex<State>,
) -> Result<(Asked<'r>, O), Problem> {
    let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let token = text(header::AUTHORIZATION.as_str()).and_then(|text| text.strip_prefix("Bearer "));
    let asked = Asked { state, token, key: text("idempotency-key") };
    if O::METHOD != Method::GET && !QUESTIONS.contains(&O::PERMISSION) {
        let key = asked.key.map(str::to_owned);
        asked.state().changes.push((O::PERMISSION.to_owned(), key));
    }
    if let Some(problem) = asked.state().refusals.get(O::PERMISSION) {
        return Err(problem.clone());
    }
    let path: Vec<(&str, &str)> =
        path.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let operation: O = decode(&path, request.uri().query(), request.body())?;
    if O::ASKERS.contains(&Asker::Public) {
        return Ok((asked, operation));
    }
    let user = asked.user().ok_or_else(Asked::nobody)?;
    let needed = if user.account.is_some() { Asker::Customer } else { Asker::Operator };
    if O::ASKERS.contains(&Asker::Anyone) {
        return Ok((asked, operation));
    }
    if !O::ASKERS.contains(&needed) {
        let detail = format!("`user/{}` was not granted `{}`", user.user, O::PERMISSION);
        return Err(Problem::new(Kind::Denied, "denied", detail));
    }
    if user.account.is_some() && is_foreign(&operation.resource()) {
        return Err(Problem::not_found("account"));
    }
    Ok((asked, operation))
}
