//! Asks the platform whom a host belongs to.
//!
//! `GET {url}/configurator/v1/services/{service}/hosts/{host}` with a bearer token; 200 carries a
//! [`Tenant`] as JSON, 404 means nobody. Fields that are not known are passed over, so that the
//! platform may say more one day.

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use types::Host;

use crate::{Error, Tenant, Vars};

/// How long an answer may take before it counts as none.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The longest token that is read.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

pub(crate) struct Platform {
    /// Up to the host, which is appended.
    hosts: String,
    token_file: PathBuf,
    client: Client<HttpConnector, Empty<Bytes>>,
}

impl Platform {
    pub(crate) fn from_vars(url: &str, vars: &Vars) -> Result<Self, Error> {
        let need = |name: &str, what: &str| {
            vars.get(name).filter(|value| !value.is_empty()).ok_or_else(|| {
                Error::Environment(format!(
                    "`MANDATE_TENANCY_URL` is set, `{name}` is not: set it to {what}"
                ))
            })
        };
        let service: types::Name = need("MANDATE_SERVICE", "the service's name")?
            .parse()
            .map_err(|error: types::NameError| Error::Environment(error.to_string()))?;
        let token_file = need("MANDATE_TENANCY_TOKEN_FILE", "the file with the service's token")?;
        let parsed = url.parse::<Uri>().ok().filter(|uri| {
            uri.scheme_str() == Some("http") && uri.host().is_some() && uri.query().is_none()
        });
        if parsed.is_none() {
            return Err(Error::Environment(format!(
                "`{url}` in `MANDATE_TENANCY_URL` is not an address to ask: \
                 use one such as `http://127.0.0.1:8080`"
            )));
        }
        Ok(Self {
            hosts: format!(
                "{}/configurator/v1/services/{service}/hosts/",
                url.trim_end_matches('/')
            ),
            token_file: token_file.into(),
            client: Client::builder(TokioExecutor::new()).build_http(),
        })
    }

    pub(crate) fn url(&self) -> &str {
        &self.hosts
    }

    pub(crate) async fn ask(&self, host: &Host) -> Result<Option<Tenant>, Error> {
        match tokio::time::timeout(PATIENCE, self.exchange(host)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} seconds", PATIENCE.as_secs())),
        }
        .map_err(|reason| Error::Unavailable { host: host.clone(), reason })
    }

    async fn exchange(&self, host: &Host) -> Result<Option<Tenant>, String> {
        let request = Request::get(format!("{}{host}", self.hosts))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token().await?))
            .header(header::ACCEPT, "application/json")
            .body(Empty::new())
            .map_err(|error| error.to_string())?;
        let response = self.client.request(request).await.map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            cause.unwrap_or_else(|| error.to_string())
        })?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            other => return Err(format!("it answers {other}")),
        }
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        // The parser's message may quote the answer, which holds a password: so only where.
        serde_json::from_slice(&body).map(Some).map_err(|error| {
            format!("its answer cannot be read at line {}, {}", error.line(), error.column())
        })
    }

    /// Read anew for each question, so that a rotated token counts at once; questions are rare.
    async fn token(&self) -> Result<String, String> {
        let file = self.token_file.display();
        let text = tokio::fs::read_to_string(&self.token_file).await;
        let text =
            text.map_err(|error| format!("the token file `{file}` cannot be read: {error}"))?;
        let token = text.trim();
        if token.is_empty() || token.len() > TOKEN_BYTES_MAX {
            return Err(format!("the token file `{file}` holds no token"));
        }
        Ok(token.to_owned())
    }
}
