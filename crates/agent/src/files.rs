//! The process that serves files: this program once more, held like any other, as its instance's
//! user, so that it can read no more than the instance itself.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use api::manifest::VOLUMES;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, sync::Semaphore};
use tower_http::services::ServeDir;

use crate::{Node, releases::Ready};

/// The word that makes this program the process that serves files.
pub(crate) const WORD: &str = "files";
/// So many connections are open at once; only gateways come here.
const CONNECTIONS_MAX: usize = 256;
/// How long a request's head may take.
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);

/// What to serve.
#[derive(Serialize, Deserialize)]
struct Told {
    address: SocketAddr,
    /// Folders by the paths that they are served at.
    folders: BTreeMap<String, PathBuf>,
}

/// The command of the process that serves a release's files at an address, from the folder of the
/// instance where that is meant.
pub(crate) fn command(
    node: &Node,
    ready: &Ready,
    instance: Option<&Path>,
    address: SocketAddr,
) -> io::Result<Vec<String>> {
    let place = |folder: &String| match (folder.starts_with(VOLUMES), instance) {
        (true, Some(instance)) => Some(instance.join(folder)),
        (true, None) => None,
        (false, _) => Some(ready.folder.join(folder)),
    };
    let folders = ready.manifest.files.iter();
    let folders = folders.filter_map(|(path, folder)| Some((path.clone(), place(folder)?)));
    let told = Told { address, folders: folders.collect() };
    let told = serde_json::to_string(&told).map_err(io::Error::other)?;
    let words = node.program.iter().map(|word| word.clone().into_string());
    let words: Result<Vec<String>, OsString> = words.collect();
    let words = words.map_err(|_| io::Error::other("the program's name is not UTF-8"))?;
    Ok(words.into_iter().chain([WORD.to_owned(), told]).collect())
}

/// Serves until it is ended.
pub(crate) fn main(words: &[OsString]) -> u8 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = runtime.and_then(|runtime| runtime.block_on(serve(words)));
    if let Err(cause) = served {
        // Its output is kept and shown like that of any process.
        let _ = io::Write::write_all(
            &mut io::stderr(),
            format!("files cannot be served: {cause}\n").as_bytes(),
        );
    }
    1
}

async fn serve(words: &[OsString]) -> io::Result<()> {
    let told = words.first().and_then(|word| word.to_str()).unwrap_or_default();
    let Told { address, folders } = serde_json::from_str(told).map_err(io::Error::from)?;
    let listener = TcpListener::bind(address).await?;
    let (folders, places) = (Arc::new(folders), Arc::new(Semaphore::new(CONNECTIONS_MAX)));
    loop {
        let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
        let (stream, _) = listener.accept().await?;
        let folders = Arc::clone(&folders);
        tokio::spawn(async move {
            let _place = place;
            let answering = service_fn(|request| {
                let folders = Arc::clone(&folders);
                async move { Ok::<_, std::convert::Infallible>(answer(&folders, request).await) }
            });
            // Whoever breaks off has no use for a complaint.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIME_MAX)
                .serve_connection(TokioIo::new(stream), answering)
                .await;
        });
    }
}

type Body = UnsyncBoxBody<Bytes, io::Error>;

async fn answer(folders: &BTreeMap<String, PathBuf>, request: Request<Incoming>) -> Response<Body> {
    let served = async {
        let (root, rest) = meant(folders, request.uri().path())?;
        let root = is_plain(root, &rest).await?;
        let (mut parts, _) = request.into_parts();
        parts.uri = rest.parse::<Uri>().ok()?;
        let mut serving = ServeDir::new(root).append_index_html_on_directories(false);
        serving.try_call(Request::from_parts(parts, Empty::<Bytes>::new())).await.ok()
    };
    let Some(response) = served.await else {
        let nothing = Empty::new().map_err(|never| match never {}).boxed_unsync();
        let mut response = Response::new(nothing);
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    };
    let mut response = response.map(|body| body.map_err(io::Error::other).boxed_unsync());
    let nosniff = HeaderValue::from_static("nosniff");
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

/// The folder that a path is in, of several the innermost, and the rest of the path.
fn meant<'f>(folders: &'f BTreeMap<String, PathBuf>, path: &str) -> Option<(&'f Path, String)> {
    let within = folders.iter().filter_map(|(prefix, folder)| {
        let rest = path.strip_prefix(prefix.as_str())?;
        rest.starts_with('/').then_some((prefix.len(), folder.as_path(), rest.to_owned()))
    });
    let (_, folder, rest) = within.max_by_key(|(length, ..)| *length)?;
    Some((folder, rest))
}

/// Whether a path leads to a file inside: to none whose name begins with a dot, through no link that
/// leads out. The folder, as it really is.
async fn is_plain(root: &Path, rest: &str) -> Option<PathBuf> {
    let rest = percent_decode_str(rest).decode_utf8().ok()?;
    let rest = rest.strip_prefix('/')?.to_owned();
    let hides = |part: &str| part.is_empty() || part.starts_with('.') || part.contains('\0');
    if rest.split('/').any(hides) {
        return None;
    }
    let root = root.to_owned();
    let looking = tokio::task::spawn_blocking(move || {
        let root = root.canonicalize().ok()?;
        let file = root.join(rest).canonicalize().ok()?;
        (file.starts_with(&root) && file.is_file()).then_some(root)
    });
    looking.await.ok()?
}
