//! Packages in a bucket of S3, or of a server that speaks its language.

use std::{fmt, fs, io, path::Path as FilePath, pin::Pin, time::Duration};

use api::http::{Connector, connector};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use object_store::{
    ClientOptions, ObjectStoreExt as _, PutPayload, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey},
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
        HttpResponse, HttpResponseBody, HttpService,
    },
    multipart::MultipartStore as _,
    path::Path,
    signer::{Method, SignedUrlOptions, Signer as _},
};
use serde::Deserialize;

use super::{blocking, read_at};
use crate::Error;

/// Where AWS is, whichever region it is.
const AWS: &str = "https://amazonaws.com";
/// Each part but the last has so many bytes; S3 takes none that has less than 5 MiB.
const PART_BYTES: u64 = 8 << 20;
/// How long a request may be without an answer; some of them bring a part.
const PATIENCE: Duration = Duration::from_mins(1);
/// A thousand uploads, the most that S3 tells at once, take less.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// A bucket, or what has a prefix in it.
#[derive(Clone)]
pub(super) struct Bucket {
    url: String,
    store: AmazonS3,
    client: HttpClient,
    prefix: Path,
}

/// What a bucket says of the uploads that are not whole; the names are S3's.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Uploads {
    #[serde(default, rename = "Upload")]
    uploads: Vec<Upload>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Upload {
    key: String,
    upload_id: String,
}

impl Bucket {
    /// The bucket at `s3://BUCKET/PREFIX`. Whose it is, its region and another server than Amazon's
    /// are said by the variables by which all say it.
    pub(super) fn open(url: &str) -> io::Result<Self> {
        let wrong = || {
            let why = "is not a bucket such as `s3://BUCKET` or `s3://BUCKET/PREFIX`";
            io::Error::new(io::ErrorKind::InvalidInput, format!("`{url}` {why}"))
        };
        let rest = url.strip_prefix("s3://").ok_or_else(wrong)?;
        let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = Path::parse(prefix).ok().filter(|_| !name.is_empty()).ok_or_else(wrong)?;
        let builder = AmazonS3Builder::from_env().with_bucket_name(name);
        let said = |key| builder.get_config_value(&key);
        let server = said(AmazonS3ConfigKey::S3Endpoint);
        let server = server.or_else(|| said(AmazonS3ConfigKey::Endpoint));
        let server = server.unwrap_or_else(|| AWS.to_owned());
        let retry = RetryConfig { max_retries: 3, retry_timeout: PATIENCE, ..Default::default() };
        let client = Client::builder(TokioExecutor::new()).build(connector(&server));
        let client = HttpClient::new(Connected(client));
        let store = builder
            .with_allow_http(server.starts_with("http://"))
            .with_http_connector(Connections(client.clone()))
            .with_retry(retry)
            .build();
        Ok(Self { url: url.to_owned(), store: store.map_err(failed)?, client, prefix })
    }

    /// Asks whether something can be stored in it, and parts be found again.
    pub(super) async fn check(&self) -> io::Result<()> {
        self.store.put(&self.at("check"), PutPayload::new()).await.map_err(failed)?;
        self.forget("check").await
    }

    fn at(&self, name: &str) -> Path {
        self.prefix.clone().join(name)
    }

    pub(super) async fn size(&self, name: &str) -> io::Result<Option<u64>> {
        match self.store.head(&self.at(name)).await {
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            about => Ok(Some(about.map_err(failed)?.size)),
        }
    }

    /// Stores a file, and removes what whoever was interrupted has left of it.
    pub(super) async fn put(&self, name: &str, from: &FilePath) -> Result<(), Error> {
        self.forget(name).await?;
        let path = self.at(name);
        let upload = self.store.create_multipart(&path).await.map_err(failed)?;
        let length = fs::metadata(from)?.len();
        let mut parts = Vec::new();
        for number in 0..length.div_ceil(PART_BYTES).max(1) {
            let (from, offset) = (from.to_owned(), number * PART_BYTES);
            let part = blocking(move || {
                read_at(&fs::File::open(from)?, offset, PART_BYTES.min(length - offset))
            });
            let (part, place) = (part.await?.into(), parts.len());
            let sent = self.store.put_part(&path, &upload, place, part).await;
            parts.push(sent.map_err(failed)?);
        }
        Ok(self.store.complete_multipart(&path, &upload, parts).await.map_err(failed).map(drop)?)
    }

    /// Removes the parts that whoever was interrupted has left in the bucket.
    pub(super) async fn forget(&self, name: &str) -> io::Result<()> {
        let path = self.at(name);
        for upload in self.unfinished(&path).await? {
            match self.store.abort_multipart(&path, &upload).await {
                Err(object_store::Error::NotFound { .. }) => {}
                gone => gone.map_err(failed)?,
            }
        }
        Ok(())
    }

    /// The uploads to a path that are not whole. The bucket is asked, because a process can be killed
    /// before it knows the id of what it has begun. By `ListMultipartUploads` of S3.
    async fn unfinished(&self, path: &Path) -> io::Result<Vec<String>> {
        let asked =
            SignedUrlOptions::new().with_query([("uploads", ""), ("prefix", path.as_ref())]);
        let root = Path::ROOT;
        let url = self.store.signed_url_opts(Method::GET, &root, PATIENCE, &asked).await;
        let url = String::from(url.map_err(failed)?);
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = url.parse().map_err(io::Error::other)?;
        let answer = self.client.execute(request).await.map_err(io::Error::other)?;
        let status = answer.status();
        let body = answer.into_body();
        let body = http_body_util::Limited::new(body, ANSWER_BYTES_MAX).collect();
        let body = body.await.map_err(io::Error::other)?.to_bytes();
        if !status.is_success() {
            let why = String::from_utf8_lossy(&body);
            return Err(io::Error::other(format!(
                "unfinished uploads are not told: {status} {why}"
            )));
        }
        let found: Uploads = quick_xml::de::from_reader(&*body).map_err(io::Error::other)?;
        let here = found.uploads.into_iter().filter(|upload| upload.key == path.as_ref());
        Ok(here.map(|upload| upload.upload_id).collect())
    }

    /// Reads what stands from `offset` on, at most `most` bytes.
    pub(super) async fn part(
        &self,
        name: &str,
        offset: u64,
        most: u64,
    ) -> io::Result<Option<Bytes>> {
        let Some(size) = self.size(name).await? else { return Ok(None) };
        if offset >= size {
            return Ok(Some(Bytes::new()));
        }
        let range = offset..size.min(offset + most);
        match self.store.get_range(&self.at(name), range).await {
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            part => part.map(Some).map_err(failed),
        }
    }

    pub(super) async fn delete(&self, name: &str) -> io::Result<()> {
        match self.store.delete(&self.at(name)).await {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            deleted => deleted.map_err(failed),
        }
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

fn failed(cause: object_store::Error) -> io::Error {
    io::Error::other(cause)
}

/// Connections to a server by the client that all parts of the platform use.
#[derive(Debug)]
struct Connections(HttpClient);

impl HttpConnector for Connections {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(self.0.clone())
    }
}

#[derive(Debug)]
struct Connected(Client<Connector, HttpRequestBody>);

type Answering<'a> = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'a>>;

impl HttpService for Connected {
    fn call<'me, 'all>(&'me self, request: HttpRequest) -> Answering<'all>
    where
        'me: 'all,
        Self: 'all,
    {
        Box::pin(async move {
            let answer = tokio::time::timeout(PATIENCE, self.0.request(request)).await;
            let answer = answer.map_err(|cause| HttpError::new(HttpErrorKind::Timeout, cause))?;
            let broken = |cause| HttpError::new(HttpErrorKind::Interrupted, cause);
            let answer = answer.map_err(|cause| {
                let kind = if cause.is_connect() {
                    HttpErrorKind::Connect
                } else {
                    HttpErrorKind::Request
                };
                HttpError::new(kind, cause)
            })?;
            Ok(answer.map(|body| HttpResponseBody::new(body.map_err(broken))))
        })
    }
}
