//! `mandate.toml` as an author writes it: one that is right, and everything that can be wrong.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use api::{
    jobs::PutJobs,
    manifest::{
        Access, Check, Count, Engine, FieldKind, JobCommand, Level, Manifest, Missed, Protocol,
        Run, Tenancy, normalise,
    },
};
use proptest::prelude::*;
use types::{Digest, Secret};

const FORUM: &str = r#"
[service]
name = "forum"
title = "Forum"
summary = "Talk among members."
tenancy = "shared"

[package]
command = ["cargo", "build", "--release"]

[run]
command = ["./forum", "serve"]
build = ["./build.sh"]

[database]
engines = ["postgres", "sqlite"]
migrate = ["./forum", "migrate"]
seed = ["./forum", "seed"]

[setup.title]
label = "Name of the forum"
default = "Our forum"

[setup.admin_email]
label = "Administrator's e-mail"
type = "email"
help = "Who may do everything."

[setup.admin_password]
label = "Password"
type = "password"

[setup.theme]
label = "Theme"
type = "choice"
options = ["light", "dark"]
default = "light"

[modules.polls]
title = "Polls"
routes = ["/polls", "/polls/*"]

[modules.badges]
title = "Badges"
summary = "Praise for members."
routes = ["/badges/*"]
requires = ["polls"]

[permissions]
addUsers = { title = "Add members", level = "write" }
readTopics = { title = "Read topics", level = "read" }

[[routes]]
match = "POST /users"
permission = "addUsers"
[[routes]]
match = "* /admin/*"
permission = "forum.addUsers"
[[routes]]
match = "GET /*"
access = "public"

[meters.requests]
count = "requests"
[meters.posts]
title = "Posts"
unit = "posts"
count = "requests"
match = "POST /topics/*/posts"
status = "2xx"

[sizes.small]
cpu = 0.5
memory = "256MiB"
[sizes.large]
title = "Large"
cpu = 2
memory = "1GiB"

[jobs.digest]
command = ["./forum", "digest"]
version = 2
schedule = "0 6 * * 1-5"
"#;

fn forum() -> Manifest {
    Manifest::parse("mandate.toml", FORUM).unwrap_or_else(|faults| panic!("{faults}"))
}

#[test]
fn a_manifest_is_read_whole() {
    let forum = forum();
    assert_eq!(forum.service.name.as_str(), "forum");
    assert_eq!(forum.service.tenancy, Tenancy::Shared);
    assert_eq!(forum.run.web.health, Some(Check::Path("/healthz".to_owned())));
    assert_eq!(forum.database.as_ref().unwrap().engines, [Engine::Postgres, Engine::Sqlite]);
    let fields: Vec<&str> = forum.setup.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(fields, ["title", "admin_email", "admin_password", "theme"]);
    assert_eq!(forum.setup[1].1.kind, FieldKind::Email);
    assert_eq!(forum.modules["badges"].requires, ["polls"]);
    assert_eq!(forum.permissions["addUsers"].level, Level::Write);
    assert_eq!(forum.meters["requests"].title, "Requests");
    assert_eq!(forum.meters["requests"].unit, "requests");
    assert_eq!(forum.meters["posts"].count, Count::Requests);
    assert_eq!((forum.sizes["small"].cpu, forum.sizes["small"].memory), (500, 268_435_456));
    assert_eq!((forum.sizes["large"].cpu, forum.sizes["large"].memory), (2_000, 1_073_741_824));
    assert_eq!((forum.jobs["digest"].version, forum.has_jobs()), (2, true));
}

#[test]
fn a_set_up_page_is_the_applications_or_the_platforms() {
    let text = "service = { name = \"a\", title = \"A\" }\nrun.command = [\"./a\"]\n\
                sizes.small = { cpu = 1, memory = \"64MiB\" }\n[setup]\n";
    let read = |more: &str| Manifest::parse("m.toml", &format!("{text}{more}"));
    let own = read("path = \"/install\"\n").unwrap();
    for (path, is_own) in [
        ("/install", true),
        ("/install/2", true),
        ("/", false),
        ("/installer", false),
        ("/a/install", false),
    ] {
        assert_eq!(own.is_setup(path), is_own, "{path}");
    }
    assert!(read("path = \"/\"\n").unwrap().is_setup("/a"));
    let field = read("path = { label = \"Path\" }\n").unwrap();
    assert_eq!((field.setup_path.as_deref(), field.setup[0].0.as_str()), (None, "path"));
    let told = read("path = \"/install\"\ntitle = { label = \"Title\" }\n").unwrap_err();
    let expected =
        "m.toml:6: setup.title: is asked for by nobody: the set-up page is `path`; remove one";
    assert_eq!(told.to_string(), expected);
}

#[test]
fn what_needs_a_database_says_so() {
    let text = "service = { name = \"a\", title = \"A\" }\nrun.command = [\"./a\"]\n\
                sizes.small = { cpu = 1, memory = \"64MiB\" }\n\
                [env]\nA = \"{database.host}\"\nB = { sqlite = \"b\" }\nKEY = \"k\"\n\
                [secrets]\nKEY = \"16 letters\"\n";
    let told = Manifest::parse("m.toml", text).unwrap_err().to_string();
    let expected = "m.toml:5: env.A: `{database.host}` needs a database; write `[database]`\n\
                    m.toml:6: env.B: differs by database, and there is none; write `[database]`\n\
                    m.toml:7: env.KEY: `KEY` is a secret already; remove one of them";
    assert_eq!(told, expected);
}

#[test]
fn a_manifest_of_before_is_still_read_and_one_of_now_comes_through_json() {
    let old = serde_json::to_value(forum()).unwrap();
    for (section, key) in [("", "env"), ("", "secrets"), ("/run", "volumes")] {
        let table = old.pointer(section).unwrap().as_object().unwrap();
        assert!(!table.contains_key(key), "what is not used is not told");
    }
    let text = FORUM.replace("\"shared\"", "\"dedicated\"");
    let more = "[env]\nA = \"{{{host}\"\nB = { sqlite = \"b\" }\n[secrets]\nKEY = \"32 base64\"\n";
    let new = Manifest::parse("m.toml", &format!("{text}{more}")).unwrap();
    let again: Manifest = serde_json::from_value(serde_json::to_value(&new).unwrap()).unwrap();
    assert_eq!(again, new);
}

#[test]
fn a_command_and_a_variable_may_have_several_lines() {
    let text = FORUM.replace("\"./forum\", \"seed\"", "\"sh\", \"-c\", \"echo 1\\n\\techo 2\"");
    let more = "[env]\nSETTINGS = \"\"\"{{\"A\": 1,\n\"B\": \"{public_url}\"}}\"\"\"\n";
    let forum = Manifest::parse("m.toml", &format!("{text}{more}")).unwrap();
    let seed = forum.database.as_ref().unwrap().seed.as_ref().unwrap();
    assert_eq!(seed[2], "echo 1\n\techo 2");
    let mut variables = [("PUBLIC_URL".to_owned(), Secret::new("http://a"))].into();
    forum.complete(&mut variables, Path::new("/release"));
    assert_eq!(variables["SETTINGS"].reveal(), "{\"A\": 1,\n\"B\": \"http://a\"}");
    for wrong in ["a\\u0000", "a\\u001b[31m"] {
        let text = format!("{FORUM}[env]\nA = \"{wrong}\"\n");
        let told = Manifest::parse("m.toml", &text).unwrap_err().to_string();
        assert!(told.ends_with("env.A: has a control character; remove it"), "{told}");
    }
}

#[test]
fn a_service_names_the_labels_of_its_nodes() {
    let with = |labels: &str| {
        let text = format!("{FORUM}\n[placement]\nlabels = {labels}\n");
        Manifest::parse("mandate.toml", &text)
    };
    assert!(forum().placement.labels.is_empty(), "it runs anywhere");
    let labels = with(r#"{ disk = "ssd", "example.com/site" = "a.b" }"#).unwrap().placement.labels;
    assert_eq!((labels["disk"].as_str(), labels["example.com/site"].as_str()), ("ssd", "a.b"));
    for (wrong, key) in [
        (r#"{ disk = "a b" }"#, "placement.labels.disk: `a b` cannot stand in a label"),
        (r#"{ disk = "" }"#, "placement.labels.disk"),
        (r"{ disk = 3 }", "placement.labels.disk"),
        (r#"{ "a b" = "c" }"#, "is not a name"),
        (r#""ssd""#, "placement.labels"),
    ] {
        let faults = with(wrong).unwrap_err().to_string();
        assert!(faults.starts_with("mandate.toml:") && faults.contains(key), "{wrong}: {faults}");
    }
}

/// What a job may say beside its command.
const JOB: &str = r#"
version = 3
accepts = "2-3"
upgrade = ["./forum", "upgrade-payload"]
class = "slow"
priority = -7
attempts = 5
timeout = "2h"
backoff = "30s"
keep = "90d"
concurrency = { instance = 1, total = 10 }
time_zone = "Europe/Berlin"
missed = "all"
spread = "10m"
"#;

#[test]
fn a_job_is_read_with_all_that_it_may_say_and_with_nothing_but_its_command() {
    let text = FORUM.replace("version = 2\n", JOB).replace("GET /*", "PUT /*");
    let routes = "[[routes]]\nmatch = \"POST /imports\"\naccess = \"public\"\njob = \"digest\"\n";
    let forum = Manifest::parse("mandate.toml", &format!("{text}{routes}")).unwrap();
    let digest = &forum.jobs["digest"];
    assert_eq!(digest.versions().ends(), (2, 3));
    assert!(digest.upgrade.is_some());
    assert_eq!((digest.class.as_str(), digest.priority, digest.attempts), ("slow", -7, 5));
    let seconds = (digest.timeout_seconds, digest.backoff_seconds, digest.keep_seconds);
    assert_eq!(seconds, (7_200, 30, 90 * 86_400));
    assert_eq!((digest.concurrency.instance, digest.concurrency.total), (Some(1), Some(10)));
    assert_eq!((digest.missed, digest.spread_seconds), (Missed::All, 600));
    assert_eq!(digest.time_zone.to_string(), "Europe/Berlin");
    assert_eq!(forum.routes.last().unwrap().job.as_deref(), Some("digest"));
    let json = serde_json::to_string(&forum).unwrap();
    assert_eq!(serde_json::from_str::<Manifest>(&json).unwrap(), forum);

    // What a component kept before there was more to say is read as it was meant.
    let kept = r#"{"command":["./a"],"version":2}"#;
    let plain: JobCommand = serde_json::from_str(kept).unwrap();
    assert_eq!((plain.versions().ends(), plain.attempts), ((2, 2), 3));
    assert_eq!((plain.class.as_str(), plain.missed), ("default", Missed::Once));
}

#[test]
fn files_are_answered_by_a_process_of_their_own() {
    let text = FORUM.replace("[database]", "[static]\n\"/assets\" = \"static\"\n[database]");
    let forum = Manifest::parse("mandate.toml", &text).unwrap();
    assert_eq!(forum.processes().map(|(name, _)| name).collect::<Vec<_>>(), ["web", "files"]);
    for (path, process) in [
        ("/assets/a/b.css", "files"),
        ("/assets", "files"),
        ("/assetsx", "web"),
        ("/Assets/a", "web"),
        ("/", "web"),
    ] {
        assert_eq!(forum.answers(path), process, "{path}");
    }
    let json = serde_json::to_string(&forum).unwrap();
    assert_eq!(serde_json::from_str::<Manifest>(&json).unwrap(), forum);
}

/// A worker beside `web`, and `web` in a table of its own.
const PROCESSES: &str = r#"
[processes.web]
command = ["./forum", "serve"]
replicas = 3
[processes.worker]
command = ["./forum", "work"]
"#;

#[test]
fn a_service_runs_several_processes() {
    let run = "command = [\"./forum\", \"serve\"]\n";
    let text = FORUM.replace(run, "");
    let forum = Manifest::parse("mandate.toml", &format!("{text}{PROCESSES}")).unwrap();
    let shown = forum.processes().map(|(name, process)| (name, process.replicas));
    assert_eq!(shown.collect::<Vec<_>>(), [("web", 3), ("worker", 1)]);
    assert_eq!(forum.run.web.command, ["./forum", "serve"]);
    assert!(forum.run.build.is_some() && forum.process("worker").unwrap().health.is_none());
    assert_eq!(forum.process("web"), Some(&forum.run.web));
    let json = serde_json::to_string(&forum).unwrap();
    assert_eq!(serde_json::from_str::<Manifest>(&json).unwrap(), forum);
    // `[run]` may be missing where it says nothing.
    let (before, after) = (text.find("[run]").unwrap(), text.find("[database]").unwrap());
    let text = format!("{}{}{PROCESSES}", &text[..before], &text[after..]);
    Manifest::parse("mandate.toml", &text).unwrap();
    // What a component kept before there were other processes is read as it was meant.
    let kept: Run = serde_json::from_str(r#"{"command":["./a"],"health":"/up"}"#).unwrap();
    assert_eq!(kept.web.health, Some(Check::Path("/up".to_owned())));
    assert_eq!(kept.web.replicas, 1);
}

#[test]
fn a_process_is_asked_in_four_ways() {
    let ways = [
        ("\"/up\"", r#""/up""#, "`GET /up`"),
        ("{ http = \"/up\" }", r#""/up""#, "`GET /up`"),
        ("{ http = \"/up\", host = \"a.b:80\" }", r#"{"http":"/up","host":"a.b:80"}"#, "`GET /up`"),
        ("{ tcp = true }", r#"{"tcp":true}"#, "a connection"),
        ("{ command = [\"./up\", \"1\"] }", r#"{"command":["./up","1"]}"#, "`./up`"),
    ];
    for (written, kept, shown) in ways {
        let text = FORUM.replace("build = [\"./build.sh\"]", &format!("live = {written}"));
        let forum = Manifest::parse("mandate.toml", &text).unwrap();
        let live = forum.run.web.live.unwrap();
        assert_eq!(serde_json::to_string(&live).unwrap(), kept);
        assert_eq!(serde_json::from_str::<Check>(kept).unwrap(), live);
        assert_eq!(live.to_string(), shown);
    }
}

#[test]
fn a_migration_may_run_for_as_long_as_is_said() {
    let limits = |manifest: &Manifest| {
        let jobs = PutJobs::of("forum".parse().unwrap(), Digest::of(b""), manifest).jobs;
        (jobs["migrate"].timeout_seconds, jobs["seed"].timeout_seconds)
    };
    assert_eq!(limits(&forum()), (900, 900));
    let engines = "engines = [\"postgres\", \"sqlite\"]";
    let text = FORUM.replace(engines, &format!("{engines}\ntimeout = \"2h\""));
    assert_eq!(limits(&Manifest::parse("mandate.toml", &text).unwrap()), (7_200, 7_200));
}

#[test]
fn a_manifest_comes_through_json_unchanged() {
    let json = serde_json::to_string(&forum()).unwrap();
    assert_eq!(serde_json::from_str::<Manifest>(&json).unwrap(), forum());
}

#[test]
fn the_smallest_manifest_has_a_command_and_a_size() {
    let text = "service = { name = \"a\", title = \"A\" }\nrun.command = [\"./a\"]\n\
                sizes.small = { cpu = 1, memory = \"64MiB\" }";
    let smallest = Manifest::parse("mandate.toml", text).unwrap();
    assert_eq!(smallest.service.tenancy, Tenancy::Dedicated);
    assert_eq!((smallest.database.is_none(), smallest.has_jobs()), (true, false));
}

#[test]
fn what_an_application_speaks_is_usual_unless_it_says_otherwise() {
    let parsed = |service: &str, run: &str| {
        let text = format!(
            "service = {{ name = \"a\", title = \"A\"{service} }}\n\
             run = {{ command = [\"./a\"]{run} }}\nsizes.small = {{ cpu = 1, memory = \"64MiB\" }}"
        );
        let manifest = Manifest::parse("mandate.toml", &text).unwrap();
        let json = serde_json::to_string(&manifest).unwrap();
        assert_eq!(serde_json::from_str::<Manifest>(&json).unwrap(), manifest);
        manifest
    };
    let usual = parsed("", "");
    assert_eq!(usual.run.web.protocol, Protocol::Http1);
    assert_eq!(usual.run.web.health, Some(Check::Path("/healthz".to_owned())));
    let upgrade = |manifest: &Manifest, asked: &[&'static str]| {
        manifest.service.upgrade(asked.iter().copied()).map(str::to_owned)
    };
    assert_eq!(upgrade(&usual, &["h2c", "WebSocket"]).as_deref(), Some("WebSocket"));
    assert_eq!(upgrade(&usual, &["x"]), None);
    let other = parsed(", upgrades = [\"x\"]", ", protocol = \"h2c\"");
    assert_eq!(upgrade(&other, &["websocket", "x"]).as_deref(), Some("x"));
    assert_eq!(upgrade(&parsed(", upgrades = []", ""), &["websocket"]), None);
    assert_eq!(other.run.web.health, Some(Check::Connection { tcp: true }));
}

#[test]
fn requests_are_led_by_the_first_route_that_matches() {
    let forum = forum();
    let access = |method, path| {
        let Some([place, freely]) = forum.deciding(method, &normalise(path).unwrap()) else {
            return "nothing";
        };
        assert_eq!(place, freely, "{method} {path}");
        match &forum.routes[place].access {
            Access::Permission(permission) => permission.as_str(),
            Access::Public => "public",
        }
    };
    let cases = [
        ("POST", "/users", "forum.addUsers"),
        ("POST", "/topics/../%75sers/", "forum.addUsers"),
        ("HEAD", "/admin/x", "forum.addUsers"),
        ("GET", "/", "public"),
        ("HEAD", "/topics", "public"),
        ("GET", "/users", "public"),
        ("POST", "/topics", "nothing"),
    ];
    for (method, path, expected) in cases {
        assert_eq!(access(method, path), expected, "{method} {path}");
    }
    let module = |path| forum.modules_of(path).next().map(|(name, _)| name);
    assert_eq!((module("/polls/7"), module("/Polls/7")), (Some("polls"), Some("polls")));
    assert_eq!((module("/badges"), module("/")), (None, None));
    let meters = |method, path, status| -> Vec<&str> {
        forum.meters_of(method, path, status).map(|(name, _)| name).collect()
    };
    assert_eq!(meters("POST", "/topics/7/posts", 201), ["posts", "requests"]);
    assert_eq!(meters("POST", "/Topics/7/posts/", 201), ["posts", "requests"]);
    assert_eq!(meters("POST", "/topics/7/posts", 403), ["requests"]);
}

#[test]
fn modules_are_taken_with_what_they_need() {
    let check = |names: &[&str]| {
        forum().check_modules(&names.iter().map(ToString::to_string).collect::<BTreeSet<_>>())
    };
    assert_eq!(check(&[]), Ok(()));
    assert_eq!(check(&["badges", "polls"]), Ok(()));
    assert_eq!(check(&["badges"]).unwrap_err(), "`badges` needs `polls`: take `polls` too");
    let there = "there is no module `pols`: `forum` has `badges`, `polls`";
    assert_eq!(check(&["pols"]).unwrap_err(), there);
}

fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_set_up_is_filled_from_its_defaults() {
    let sent = values(&[("admin_email", " ada@example.com "), ("admin_password", " x ")]);
    let expected = values(&[
        ("title", "Our forum"),
        ("admin_email", "ada@example.com"),
        ("admin_password", " x "),
        ("theme", "light"),
    ]);
    assert_eq!(forum().check_setup(&sent), Ok(expected));
}

#[test]
fn each_field_of_a_set_up_says_what_is_wrong_with_it() {
    let long = "a".repeat(501);
    let sent = values(&[
        ("title", &long),
        ("admin_email", "ada"),
        ("admin_password", ""),
        ("theme", "blue"),
        ("colour", "red"),
    ]);
    let expected = values(&[
        ("title", "is too long: write at most 500 characters"),
        ("admin_email", "`ada` is not an e-mail address: write one such as `ada@example.com`"),
        ("admin_password", "must be filled in"),
        ("theme", "`blue` is not an option: choose one of `light`, `dark`"),
        ("colour", "there is no such field: leave it out"),
    ]);
    assert_eq!(forum().check_setup(&sent), Err(expected));
    for bad in ["@", "a@", "@b.c", "a b@c.d", "a@b..c", ".a@b.c", "a@b@c.d", "a@b.c\n", "a@-b"] {
        let sent = values(&[("admin_email", &format!("{bad}!")), ("admin_password", "x")]);
        assert!(forum().check_setup(&sent).is_err(), "{bad}");
    }
}

/// The forum's manifest with one text in place of another, and what is then said of it.
fn told(from: &str, to: &str) -> String {
    assert!(FORUM.contains(from), "{from}");
    match Manifest::parse("mandate.toml", &FORUM.replacen(from, to, 1)) {
        Ok(_) => format!("`{to}` is not refused"),
        Err(faults) => faults.to_string(),
    }
}

#[test]
fn every_fault_names_its_line_its_key_and_the_mend() {
    let cases = include_str!("manifest_faults.txt");
    let mut count = 0;
    for case in cases.trim().split("\n\n") {
        let lines: Vec<&str> = case.lines().collect();
        let (from, to) = lines[0].split_once(" -> ").unwrap();
        let to = to.replace("\\n", "\n");
        assert_eq!(told(from, &to), lines[1..].join("\n"), "{from} -> {to}");
        count += 1;
    }
    assert!(count > 50);
}

#[test]
fn all_faults_are_told_and_not_only_the_first() {
    let text = "[service]\nname = \"billing\"\n[run]\ncommand = []\nhealt = \"/\"\n[[routes]]\n\
                match = \"PSOT /\"\npermission = \"x\"\n[modules.a]\nrequires = [\"b\"]\n";
    let faults = Manifest::parse("m.toml", text).unwrap_err();
    let lines: Vec<u32> = faults.0.iter().map(|fault| fault.line).collect();
    assert_eq!(lines, [1, 1, 2, 4, 5, 7, 8, 9, 10]);
}

#[test]
fn what_is_too_large_is_refused() {
    let big = format!("# {}", "a".repeat(256 * 1024));
    let told = Manifest::parse("m.toml", &big).unwrap_err().to_string();
    assert_eq!(told, "m.toml:1: the file has 262146 bytes; write at most 262144");
    let sizes: Vec<String> = (0..201).map(|n| format!("s{n} = {{ cpu = 1 }}")).collect();
    let many = format!(
        "[sizes]
{}",
        sizes.join(
            "
"
        )
    );
    let told = Manifest::parse("m.toml", &many).unwrap_err().to_string();
    assert!(
        told.contains(
            "m.toml:1: sizes: has 201 entries; write at most 200
"
        ),
        "{told}"
    );
    let faults = Manifest::parse("m.toml", &"x = 1\n".repeat(5_000)).unwrap_err();
    assert_eq!(faults.0.len(), 100);
    let deep = format!("x = {}", "[".repeat(100_000));
    assert!(Manifest::parse("m.toml", &deep).is_err());
    let deep = format!("{}1", "x.".repeat(100_000));
    assert!(Manifest::parse("m.toml", &deep).is_err());
}

#[test]
fn a_default_may_be_empty() {
    let text = FORUM.replace("default = \"Our forum\"", "default = \"\"");
    let forum = Manifest::parse("mandate.toml", &text).unwrap();
    let sent = values(&[("admin_email", "ada@localhost"), ("admin_password", "x")]);
    assert_eq!(forum.check_setup(&sent).unwrap()["title"], "");
}

proptest! {
    #[test]
    fn no_text_panics_and_a_refusal_says_why(cut in 0..FORUM.len(), put in "[\\[\\]={}\".,\na-z0-9]{0,8}") {
        let text = format!("{}{put}{}", &FORUM[..cut], &FORUM[cut..]);
        if let Err(faults) = Manifest::parse("mandate.toml", &text) {
            prop_assert!(!faults.0.is_empty());
            let last = u32::try_from(text.lines().count() + 1).unwrap();
            prop_assert!(faults.0.iter().all(|fault| (1..=last).contains(&fault.line)));
        }
    }

    #[test]
    fn a_manifest_without_any_of_its_lines_is_read_or_told(line in 0..90_usize) {
        let text: Vec<&str> = FORUM.lines().enumerate().filter(|(n, _)| *n != line).map(|(_, l)| l).collect();
        if let Err(faults) = Manifest::parse("mandate.toml", &text.join("\n")) {
            prop_assert!(!faults.0.is_empty());
        }
    }
}

#[expect(clippy::unwrap_used, reason = "a test ends where it fails")]
/// A manifest with these routes, some of them public; whatever they leave is public too.
fn with_routes(routes: &[(String, bool)], exact: bool) -> Manifest {
    let mut text = format!(
        "service = {{ name = \"a\", title = \"A\", exact_paths = {exact} }}\n\
         run.command = [\"./a\"]\nsizes.small = {{ cpu = 1, memory = \"64MiB\" }}\n\
         permissions.see = {{ title = \"See\", level = \"read\" }}\n"
    );
    let rest = ("* /*".to_owned(), true);
    for (pattern, is_public) in routes.iter().chain([&rest]) {
        let access = if *is_public { "access = \"public\"" } else { "permission = \"see\"" };
        text.extend(["[[routes]]\nmatch = \"", pattern, "\"\n", access, "\n"]);
    }
    Manifest::parse("mandate.toml", &text).unwrap()
}

#[test]
fn a_module_owns_its_paths_however_they_are_spelled_unless_paths_are_exact() {
    for exact in [false, true] {
        let text = format!(
            "service = {{ name = \"a\", title = \"A\", exact_paths = {exact} }}\n\
             run.command = [\"./a\"]\nsizes.small = {{ cpu = 1, memory = \"64MiB\" }}\n\
             modules.extra = {{ title = \"Extra\", routes = [\"/extra/*\"] }}\n\
             [[routes]]\nmatch = \"* /*\"\naccess = \"public\"\n"
        );
        let manifest = Manifest::parse("mandate.toml", &text).unwrap();
        let is_owned = |path| manifest.modules_of(path).next().is_some();
        assert!(is_owned("/extra/a") && !is_owned("/other/a"));
        assert_eq!(is_owned("/Extra/a"), !exact);
    }
}

/// Whether a visitor may ask for it.
fn is_open(manifest: &Manifest, path: &str) -> bool {
    let deciding = manifest.deciding("GET", path);
    let public = |place: usize| manifest.routes[place].access == Access::Public;
    deciding.is_some_and(|places| places.into_iter().all(public))
}

/// The same path for somebody who reads freely, in another spelling.
fn respelled(path: &str, turns: &[u8]) -> String {
    let mut text = String::new();
    for (letter, turn) in path.chars().zip(turns.iter().cycle()) {
        match (letter, turn % 4) {
            ('/', 1) => text.push_str("//"),
            ('/', 2) if text.len() > 1 => text.push_str(";v=1/"),
            ('/', 3) => text.push_str("/./"),
            (letter, 1) => text.push(letter.to_ascii_uppercase()),
            (letter, 2 | 3) if letter != '/' => {
                text.extend(["%", &format!("{:02x}", u32::from(letter))]);
            }
            (letter, _) => text.push(letter),
        }
    }
    if turns.len().is_multiple_of(2) { text + "/" } else { text }
}

proptest! {
    /// Where a route protects a path, no spelling of it is open.
    #[test]
    fn no_spelling_opens_what_is_protected(
        routes in prop::collection::vec(("(GET|\\*) (/([abA+]|\\*)){1,2}", any::<bool>()), 1..6),
        path in "(/[ab+]){1,2}",
        turns in prop::collection::vec(any::<u8>(), 1..12),
    ) {
        let manifest = with_routes(&routes, false);
        let freely = manifest.routes.iter().find(|route| route.pattern.covers("GET", &path));
        let is_protected = freely.is_some_and(|route| route.access != Access::Public);
        let other = normalise(&respelled(&path, &turns)).unwrap();
        prop_assert!(!(is_protected && is_open(&manifest, &other)), "{other} opens {path}");
    }

    /// What is open is so to the letter, however freely what protects is read.
    #[test]
    fn no_spelling_widens_what_is_public(
        routes in prop::collection::vec(("(GET|\\*) (/([abA+]|\\*)){1,2}", any::<bool>()), 1..6),
        path in "(/[abAB+]){1,2}/?",
    ) {
        let (freely, exactly) = (with_routes(&routes, false), with_routes(&routes, true));
        prop_assert!(!is_open(&freely, &path) || is_open(&exactly, &path));
        let first = exactly.routes.iter().find(|route| route.pattern.matches("GET", &path));
        let is_public = first.is_some_and(|route| route.access == Access::Public);
        prop_assert_eq!(is_open(&exactly, &path), is_public);
    }
}
