//! An operation as an HTTP request, and back.
//!
//! The fields that the path names travel in the path, as text. The others are the query of a GET
//! or DELETE and the JSON body of everything else.

use bytes::Bytes;
use http::{Method, Request, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use super::{Operation, Problem};

/// What RFC 3986 leaves unescaped everywhere.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The request that carries `operation`; its path begins with the component's name.
pub fn encode<O: Operation>(operation: &O) -> Result<Request<Bytes>, Problem> {
    let unsendable = |cause: &dyn std::fmt::Display| {
        Problem::invalid("unsendable", format!("this cannot be sent: {cause}"))
    };
    let value = serde_json::to_value(operation).map_err(|cause| unsendable(&cause))?;
    let Value::Object(mut fields) = value else {
        return Err(unsendable(&"an operation must be a struct with fields"));
    };
    let mut target = String::with_capacity(128);
    target.push('/');
    target.push_str(O::COMPONENT);
    for segment in O::PATH.split('/').skip(1) {
        target.push('/');
        match segment.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            None => target.push_str(segment),
            Some(name) => push_text(&mut target, &fields.remove(name).unwrap_or(Value::Null)),
        }
    }
    let mut request = Request::builder().method(O::METHOD);
    let body = if has_body(&O::METHOD) {
        request = request.header(header::CONTENT_TYPE, "application/json");
        serde_json::to_vec(&fields).map_err(|cause| unsendable(&cause))?.into()
    } else {
        push_query(&mut target, &fields);
        Bytes::new()
    };
    request.uri(target).body(body).map_err(|cause| unsendable(&cause))
}

fn has_body(method: &Method) -> bool {
    method != Method::GET && method != Method::DELETE
}

fn push_query(target: &mut String, fields: &Map<String, Value>) {
    let mut separator = '?';
    for (name, value) in fields {
        let values = match value {
            Value::Null => continue,
            Value::Array(items) => items.as_slice(),
            single => std::slice::from_ref(single),
        };
        for value in values {
            target.push(separator);
            separator = '&';
            target.push_str(name);
            target.push('=');
            push_text(target, value);
        }
    }
}

fn push_text(target: &mut String, value: &Value) {
    match value {
        Value::String(text) => target.extend(utf8_percent_encode(text, ESCAPED)),
        other => target.extend(utf8_percent_encode(&other.to_string(), ESCAPED)),
    }
}

/// Reads an operation from the parts of a request: the path's fields (already unescaped), the
/// query and the body.
pub fn decode<O: Operation>(
    path: &[(&str, &str)],
    query: Option<&str>,
    body: &[u8],
) -> Result<O, Problem> {
    let wrong =
        |cause: &dyn std::fmt::Display| Problem::invalid("invalid_request", cause.to_string());
    if !has_body(&O::METHOD) {
        let mut pairs = String::with_capacity(96);
        for (name, value) in path {
            pairs.push_str(name);
            pairs.push('=');
            pairs.extend(utf8_percent_encode(value, ESCAPED));
            pairs.push('&');
        }
        pairs.push_str(query.unwrap_or(""));
        return serde_html_form::from_str(&pairs).map_err(|cause| wrong(&cause));
    }
    let mut fields: Map<String, Value> = match body {
        [] => Map::new(),
        body => serde_json::from_slice(body)
            .map_err(|cause| wrong(&format!("the body must be a JSON object: {cause}")))?,
    };
    for (name, value) in path {
        fields.insert((*name).to_owned(), Value::String((*value).to_owned()));
    }
    serde_json::from_value(Value::Object(fields)).map_err(|cause| wrong(&cause))
}
