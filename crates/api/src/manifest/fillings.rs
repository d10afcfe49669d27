//! What the placeholders of `[env]` stand for. All of it follows from the other variables of the
//! process, from the manifest, and from where the release is.

use std::path::Path;

use percent_encoding::percent_decode_str;
use types::Secret;

use super::{Engine, FieldKind, Manifest, environment::DATABASE_URL, template::Values};

const MAIL_URL: &str = "MAIL_URL";
const MAIL_FROM: &str = "MAIL_FROM";
/// What an instance's size is called.
const SIZE: &str = "MANDATE_SIZE";

/// Variables under whose values placeholders have names of their own.
const PLAIN: [(&str, &str); 5] = [
    ("public_url", "PUBLIC_URL"),
    ("host", "HOST"),
    ("port", "PORT"),
    ("data_dir", "DATA_DIR"),
    ("modules", "MODULES"),
];

impl Manifest {
    /// Adds the variables of `[env]` to what a process gets otherwise, with the release in that
    /// folder. A variable that asks for what the process has not, such as the port of a job, is left
    /// out.
    pub fn complete(&self, variables: &mut Values, release: &Path) {
        let values = self.fillings(variables, release);
        let engine = variables.get(DATABASE_URL).map(|url| engine(url.reveal()));
        for (name, variable) in &self.env {
            // What is respelled for one product only is not what another has.
            let filled = variable.with(engine).and_then(|template| template.fill(&values));
            if let Some(value) = filled {
                variables.insert(name.clone(), value);
            }
        }
    }

    /// Which of a process's values must not be shown.
    pub fn hidden(&self, variables: &Values) -> Vec<Secret> {
        let values = self.fillings(variables, Path::new(""));
        let passwords = self.setup.iter().filter(|(_, field)| field.kind == FieldKind::Password);
        let names = passwords.map(|(name, _)| format!("setup.{name}"));
        let names = names.chain(self.secrets.keys().map(|name| format!("secret.{name}")));
        let names = names.chain(["database.password", "mail.password"].map(str::to_owned));
        let named = names.filter_map(|name| values.get(&name).cloned());
        let urls = [DATABASE_URL, MAIL_URL].into_iter().filter_map(|name| variables.get(name));
        // As it stands in an address a password may be spelled in another way.
        let spelled =
            urls.clone().filter_map(|url| Some(Secret::new(Url::of(url.reveal())?.password?)));
        named
            .chain(spelled)
            .chain(urls.cloned())
            .filter(|secret| !secret.reveal().is_empty())
            .collect()
    }

    fn fillings(&self, variables: &Values, release: &Path) -> Values {
        let mut values = Values::new();
        let mut copy = |name: String, variable: &str| {
            if let Some(value) = variables.get(variable) {
                values.insert(name, value.clone());
            }
        };
        for (name, variable) in PLAIN {
            copy(name.to_owned(), variable);
        }
        for (name, _) in &self.setup {
            copy(format!("setup.{name}"), &format!("SETUP_{}", name.to_uppercase()));
        }
        for name in self.secrets.keys() {
            copy(format!("secret.{name}"), name);
        }
        for name in &self.run.volumes {
            copy(format!("volume.{name}"), &format!("VOLUME_{}", name.to_uppercase()));
        }
        let release = ("release_dir".to_owned(), Secret::new(release.display().to_string()));
        let size = variables.get(SIZE).map(|size| self.size(size.reveal()));
        let database = variables.get(DATABASE_URL).map(|url| database(url.reveal()));
        let parts = size.into_iter().flatten().chain(database.into_iter().flatten());
        let parts = parts.chain(mail(variables));
        values.extend(parts.map(|(name, value)| (name.to_owned(), Secret::new(value))));
        values.extend([release]);
        values
    }

    fn size(&self, name: &str) -> Vec<(&'static str, String)> {
        let Some(size) = self.sizes.get(name) else { return Vec::new() };
        vec![
            ("size.name", name.to_owned()),
            ("size.cpus", size.cpu.div_ceil(1_000).to_string()),
            ("size.memory_mib", (size.memory >> 20).to_string()),
        ]
    }
}

fn engine(url: &str) -> Engine {
    if url.starts_with("sqlite:") { Engine::Sqlite } else { Engine::Postgres }
}

fn database(url: &str) -> Vec<(&'static str, String)> {
    let whole = ("database.url", url.to_owned());
    if let Some(path) = url.strip_prefix("sqlite:///") {
        let engine = ("database.engine", "sqlite".to_owned());
        return vec![whole, engine, ("database.path", path.to_owned())];
    }
    let mut parts = vec![whole, ("database.engine", "postgres".to_owned())];
    if let Some(url) = Url::of(url) {
        parts.push(("database.host", url.host.to_owned()));
        parts.push(("database.port", url.port.unwrap_or("5432").to_owned()));
        parts.push(("database.name", decoded(url.path)));
        parts.push(("database.user", decoded(url.user.unwrap_or_default())));
        parts.push(("database.password", decoded(url.password.unwrap_or_default())));
    }
    parts
}

/// Empty where the platform has no mail server for instances: applications take that for "none".
fn mail(variables: &Values) -> Vec<(&'static str, String)> {
    let text = |name: &str| variables.get(name).map_or("", |value| value.reveal());
    let url = Url::of(text(MAIL_URL)).unwrap_or_default();
    let port = url.port.unwrap_or(match url.scheme {
        "" => "",
        "smtps" => "465",
        _ => "587",
    });
    vec![
        ("mail.host", url.host.to_owned()),
        ("mail.port", port.to_owned()),
        ("mail.user", decoded(url.user.unwrap_or_default())),
        ("mail.password", decoded(url.password.unwrap_or_default())),
        ("mail.from", text(MAIL_FROM).to_owned()),
    ]
}

/// `scheme://user:password@host:port/path`, as it is spelled.
#[derive(Debug, Default)]
struct Url<'t> {
    scheme: &'t str,
    user: Option<&'t str>,
    password: Option<&'t str>,
    host: &'t str,
    port: Option<&'t str>,
    path: &'t str,
}

impl<'t> Url<'t> {
    fn of(text: &'t str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, place) = match authority.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, authority),
        };
        let user = login.map(|login| login.split_once(':').map_or(login, |(user, _)| user));
        let password = login.and_then(|login| Some(login.split_once(':')?.1));
        // The colons of an address in brackets are its own.
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (place, None),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some(Self { scheme, user, password, host, port, path })
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test ends where it fails")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MANIFEST: &str = r#"
service = { name = "shop", title = "Shop" }
run = { command = ["./run"], volumes = ["uploads"] }
database = { engines = ["postgres", "sqlite"] }
sizes.small = { cpu = 1.5, memory = "256MiB" }

[setup]
admin = { label = "Administrator" }
password = { label = "Password", type = "password" }

[secrets]
SECRET_KEY = "64 hex"

[env]
DB_HOST = "{database.host}"
DB_NAME = { postgres = "{database.name}", sqlite = "{database.path}" }
DATABASE_URL = { postgres = "postgresql+psycopg://{database.user}:{database.password}@{database.host}:{database.port}/{database.name}", sqlite = "{database.url}" }
LISTEN = "http://{host}:{port}"
KEY = "{secret.SECRET_KEY}"
FILES = "{volume.uploads}:{data_dir}:{release_dir}"
WHO = "{setup.admin}"
WORKERS = "{size.cpus}/{size.memory_mib}/{size.name}"
SMTP = "{mail.host}:{mail.port}"
MODE = "production"
"#;

    fn completed(given: &[(&str, &str)]) -> Values {
        let manifest = Manifest::parse("mandate.toml", MANIFEST).unwrap_or_else(|f| panic!("{f}"));
        let mut variables: Values =
            given.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect();
        manifest.complete(&mut variables, Path::new("/r"));
        variables
    }

    const REPLICA: [(&str, &str); 8] = [
        ("HOST", "127.0.0.1"),
        ("PORT", "7000"),
        ("DATA_DIR", "/d"),
        ("VOLUME_UPLOADS", "/d/volumes/uploads"),
        ("SETUP_ADMIN", "{port}"),
        ("SECRET_KEY", "5ec7e7"),
        ("MANDATE_SIZE", "small"),
        ("MAIL_URL", "smtps://me:a%40b@mail.example"),
    ];

    #[test]
    fn what_an_application_wants_is_spelled_from_what_there_is() {
        let url = ("DATABASE_URL", "postgresql://me:pw@db.example:5433/shop");
        let told = completed(&[&REPLICA[..], &[url]].concat());
        for (name, value) in [
            ("DB_HOST", "db.example"),
            ("DB_NAME", "shop"),
            ("DATABASE_URL", "postgresql+psycopg://me:pw@db.example:5433/shop"),
            ("LISTEN", "http://127.0.0.1:7000"),
            ("KEY", "5ec7e7"),
            ("FILES", "/d/volumes/uploads:/d:/r"),
            ("WHO", "{port}"),
            ("WORKERS", "2/256/small"),
            ("SMTP", "mail.example:465"),
            ("MODE", "production"),
        ] {
            assert_eq!(told[name].reveal(), value, "{name}");
        }
    }

    #[test]
    fn what_there_is_not_is_left_out_and_mail_is_empty() {
        let url = ("DATABASE_URL", "sqlite:////var/shop.db");
        let told = completed(&[url]);
        let names: Vec<&str> = told.keys().map(String::as_str).collect();
        assert_eq!(names, ["DATABASE_URL", "DB_NAME", "MODE", "SMTP"]);
        assert_eq!(told["DB_NAME"].reveal(), "/var/shop.db");
        assert_eq!(told["DATABASE_URL"].reveal(), "sqlite:////var/shop.db");
        assert_eq!(told["SMTP"].reveal(), ":");
    }

    #[test]
    fn secrets_are_known_in_every_spelling() {
        let manifest = Manifest::parse("mandate.toml", MANIFEST).unwrap();
        let pairs = [
            ("DATABASE_URL", "postgresql://me:p4ss:word@[::1]:5433/shop"),
            ("SETUP_PASSWORD", "rye and wheat"),
            ("SETUP_ADMIN", "ada"),
        ];
        let given = REPLICA.iter().chain(&pairs);
        let variables: Values =
            given.map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect();
        let hidden = manifest.hidden(&variables);
        let hidden: Vec<&str> = hidden.iter().map(Secret::reveal).collect();
        for secret in ["p4ss:word", "a@b", "a%40b", "5ec7e7", "rye and wheat", pairs[0].1] {
            assert!(hidden.contains(&secret), "{secret}");
        }
        assert!(!hidden.contains(&"ada"));
        assert_eq!(Url::of(pairs[0].1).unwrap().host, "::1");
    }

    proptest! {
        /// Whatever an address is, it is taken apart without a panic, and put together again.
        #[test]
        fn an_address_is_put_together_as_it_was(
            user in "[a-z0-9_]{1,8}",
            password in "[a-z0-9]{1,8}",
            host in "[a-z0-9.]{1,8}",
            port in 1..u16::MAX,
            name in "[a-z0-9_]{1,8}",
        ) {
            let rest = format!("{user}:{password}@{host}:{port}/{name}");
            let told = completed(&[("DATABASE_URL", &format!("postgresql://{rest}"))]);
            let spelled = format!("postgresql+psycopg://{rest}");
            prop_assert_eq!(told["DATABASE_URL"].reveal(), spelled);
        }

        #[test]
        fn no_address_panics(text in "[a-z:/@\\[\\]?#%0-9]{0,24}") {
            completed(&[("DATABASE_URL", &text), ("MAIL_URL", &text)]);
        }
    }
}
