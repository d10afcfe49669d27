//! Somebody with a browser, as far as a server can tell.

use std::collections::BTreeMap;

use axum::{Router, body::Body};
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

pub(crate) const HOST: &str = "localhost:8080";

pub(crate) struct Browser {
    router: Router,
    cookies: BTreeMap<String, String>,
    /// The last page.
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: String,
}

impl Browser {
    pub(crate) fn new(router: Router) -> Self {
        let (cookies, headers) = (BTreeMap::new(), http::HeaderMap::new());
        Self { router, cookies, status: StatusCode::OK, headers, body: String::new() }
    }

    pub(crate) fn with_token(router: Router, token: &str) -> Self {
        let mut browser = Self::new(router);
        browser.cookies.insert("mandate_session".into(), token.into());
        browser
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }

    pub(crate) async fn get(&mut self, path: &str) -> &str {
        self.get_with(path, &[]).await
    }

    pub(crate) async fn get_with(&mut self, path: &str, headers: &[(&str, &str)]) -> &str {
        self.send("GET", path, headers, String::new()).await
    }

    /// Sends the form on the present page whose action is `action`, with these fields filled in.
    pub(crate) async fn submit(&mut self, action: &str, fields: &[(&str, &str)]) -> &str {
        let mut all = self.hidden(action);
        all.extend(fields.iter().map(|(name, value)| ((*name).into(), (*value).into())));
        self.post(
            action,
            &[("origin", "http://localhost:8080"), ("sec-fetch-site", "same-origin")],
            &all,
        )
        .await
    }

    pub(crate) async fn post(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        fields: &[(String, String)],
    ) -> &str {
        let body = serde_html_form::to_string(fields).unwrap();
        self.send("POST", path, headers, body).await
    }

    /// The hidden fields of the form whose action is `action`.
    pub(crate) fn hidden(&self, action: &str) -> Vec<(String, String)> {
        let start = self.body.find(&format!("action=\"{action}\"")).expect("there is such a form");
        let form = &self.body[start..];
        let form = &form[..form.find("</form>").expect("the form ends")];
        form.split("<input type=\"hidden\" ")
            .skip(1)
            .map(|input| (attribute(input, "name"), attribute(input, "value")))
            .collect()
    }

    /// Where the last answer leads.
    pub(crate) fn location(&self) -> &str {
        self.headers.get(header::LOCATION).map_or("", |value| value.to_str().unwrap())
    }

    async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> &str {
        let cookies: Vec<_> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, HOST)
            .header(header::COOKIE, cookies.join("; "));
        if method == "POST" {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body)).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        self.keep(response).await
    }

    async fn keep(&mut self, response: Response<Body>) -> &str {
        let (parts, body) = response.into_parts();
        (self.status, self.headers) = (parts.status, parts.headers);
        self.body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        for line in self.headers.get_all(header::SET_COOKIE) {
            let (name, rest) = line.to_str().unwrap().split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if rest.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.into(), value.into());
            }
        }
        &self.body
    }
}

fn attribute(tag: &str, name: &str) -> String {
    let tag = &tag[..tag.find('>').unwrap()];
    let rest = tag.split_once(&format!("{name}=\"")).map_or("", |(_, rest)| rest);
    rest.split('"').next().unwrap_or("").replace("&amp;", "&")
}

/// What one reads on a page: its text, a line for each block.
pub(crate) fn text_of(html: &str) -> String {
    let main = html.split_once("<main").map_or(html, |(_, rest)| rest);
    let main = main.split_once("</main>").map_or(main, |(main, _)| main);
    let mut text = String::new();
    let mut rest = main;
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        let (tag, after) = after.split_once('>').unwrap_or((after, ""));
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or("");
        text.push_str(match name {
            "a" | "code" | "strong" | "time" => "",
            "span" | "small" | "button" | "td" | "th" | "dd" => " ",
            _ => "\n",
        });
        rest = after;
    }
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.filter(|line| !line.is_empty()).skip(1).collect::<Vec<_>>().join("\n")
}
