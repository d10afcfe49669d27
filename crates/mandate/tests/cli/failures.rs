//! What a script sees when something goes wrong.

use std::process::Stdio;

use api::{
    Kind,
    identity::{Account, User},
};
use tokio::{io::AsyncReadExt as _, net::TcpListener};
use types::Page;

use crate::platform::{Person, Platform, account, id, me, noon, problem, reply};

#[tokio::test]
async fn every_kind_of_problem_has_its_exit_code() {
    let kinds = [
        (Kind::Invalid, 5),
        (Kind::Unauthenticated, 3),
        (Kind::Denied, 3),
        (Kind::NotFound, 4),
        (Kind::Conflict, 5),
        (Kind::Exhausted, 6),
        (Kind::Unavailable, 6),
        (Kind::Internal, 1),
    ];
    for (kind, status) in kinds {
        let code = if kind == Kind::Denied { "denied" } else { "a_code" };
        let platform = Platform::start(move |_| problem(kind, code, "it is so")).await;
        let done = Person::at(&platform)
            .runs(&["bill", "show", "--account", &account().to_string()])
            .await;
        assert_eq!((done.status, done.out.as_str()), (status, ""), "{kind:?}");
        assert!(done.err.starts_with("error: it is so\n"), "{}", done.err);
        assert_eq!(done.err.contains("request: req_"), kind == Kind::Internal, "{}", done.err);
        assert_eq!(
            done.err.contains("mandate can me billing.getBill --on account/"),
            kind == Kind::Denied
        );
        let operators = Person::at(&platform).runs(&["node", "list"]).await;
        assert_eq!(operators.err.contains("this is for operators"), kind == Kind::Denied);
        assert_eq!(platform.asked().len(), 2, "an answer is an answer: nothing is sent again");
    }
}

#[tokio::test]
async fn what_no_permission_would_open_has_no_hint_of_one() {
    let platform = Platform::start(|_| problem(Kind::Denied, "other_publisher", "it is so")).await;
    let done = Person::at(&platform).runs(&["node", "list"]).await;
    assert_eq!((done.status, done.err.as_str()), (3, "error: it is so\n"));
}

#[tokio::test]
async fn a_program_reads_failures_as_it_reads_replies() {
    let platform = Platform::start(|_| problem(Kind::Denied, "denied", "it is \u{1b}so")).await;
    let done = Person::at(&platform).runs(&["node", "list", "--json"]).await;
    assert_eq!((done.status, done.out.as_str()), (3, ""));
    let told: serde_json::Value = serde_json::from_str(&done.err).unwrap();
    assert_eq!(told["error"]["code"], "denied");
    assert_eq!(told["error"]["detail"], "it is \u{1b}so");
    assert!(told["error"]["hint"].as_str().unwrap().contains("operators"), "{told}");
    assert!(!done.err.contains('\u{1b}'), "it is escaped: {}", done.err);
    let wrong = Person::new().runs(&["offer", "list", "--url", "bakery", "--json"]).await;
    let told: serde_json::Value = serde_json::from_str(&wrong.err).unwrap();
    assert_eq!((wrong.status, &told["error"]["code"]), (2, &"usage".into()));
    for command in [&["fly", "--json"][..], &["order", "place", "--json"]] {
        let wrong = Person::new().runs(command).await;
        let told: serde_json::Value = serde_json::from_str(&wrong.err).unwrap();
        assert_eq!((wrong.status, &told["error"]["code"]), (2, &"usage".into()), "{told}");
        let (detail, hint) = (&told["error"]["detail"], &told["error"]["hint"]);
        assert!(!detail.as_str().unwrap().contains('\n'), "{told}");
        assert!(hint.as_str().unwrap().contains("--help"), "{told}");
    }
    let wrong = Person::new().runs(&["instance", "change", "a.localhost"]).await;
    assert!(wrong.err.contains("--size <SIZE>|--modules <A,B>"), "{}", wrong.err);
}

#[tokio::test]
async fn a_list_shows_a_hundred_unless_more_are_asked_for() {
    let platform = Platform::start(|asked| {
        let account = |n: u32| Account {
            account: id(&format!("{n}")),
            title: format!("No {n}"),
            created: noon(),
        };
        let wanted = if asked.query.contains("limit=100") { 100 } else { 150 };
        let next = (wanted == 100).then(|| "there".to_owned());
        reply(&Page { items: (0..wanted).map(account).collect(), next })
    })
    .await;
    let operator = Person::at(&platform);
    let first = operator.runs(&["account", "list"]).await.good();
    assert_eq!(first.matches("No ").count(), 100);
    assert!(first.contains("There are more; raise `--limit`."), "{first}");
    let all: Page<Account> =
        operator.runs(&["account", "list", "--limit", "500", "--json"]).await.json();
    assert_eq!(all.items.len(), 150);
}

#[tokio::test]
async fn what_brought_no_answer_is_sent_once_more_under_the_same_key() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let platform = tokio::spawn(async move {
        let mut first = String::new();
        let (mut socket, _) = listener.accept().await.unwrap();
        while !first.ends_with('}') {
            let mut part = [0; 1024];
            let length = socket.read(&mut part).await.unwrap();
            first += str::from_utf8(&part[..length]).unwrap();
        }
        drop(socket);
        let platform = Platform::on(listener, |asked| {
            let email = asked.body::<serde_json::Value>()["email"].as_str().unwrap().to_owned();
            reply(&User { user: id("bob"), account: Some(account()), email, created: noon() })
        });
        (first, platform)
    });
    let person = Person::new().with("MANDATE_TOKEN", "t").with("MANDATE_PASSWORD", "long enough");
    let (url, account) = (format!("http://{address}"), account().to_string());
    let add =
        ["user", "add", "--email", "bob@bakery.example", "--account", &account, "--url", &url];
    person.runs(&add).await.good();
    let (first, platform) = platform.await.unwrap();
    let [second] = platform.asked().try_into().unwrap();
    let key = &second.headers["idempotency-key"];
    assert!(key.len() >= 32 && first.contains(&format!("idempotency-key: {key}\r\n")), "{first}");
}

#[tokio::test]
async fn nobody_at_the_address_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let done = Person::new().runs(&["offer", "list", "--url", &url]).await;
    assert_eq!(done.status, 6);
    assert!(done.err.contains("`mandate up` starts it"), "{}", done.err);
    assert_eq!(Person::new().runs(&["offer", "list", "--url", "bakery"]).await.status, 2);
}

#[tokio::test]
async fn a_list_is_followed_to_its_end_or_to_the_limit() {
    let platform = Platform::start(|asked| {
        let items = |from: u32, to: u32| -> Vec<Account> {
            let account = |n| Account {
                account: id(&format!("{n}")),
                title: format!("No {n}"),
                created: noon(),
            };
            (from..to).map(account).collect()
        };
        if asked.query.contains("after=") {
            return reply(&Page { items: items(2, 4), next: None });
        }
        let next = Some("there".to_owned());
        let one = asked.query.split('&').any(|pair| pair == "limit=1");
        let all = if one { items(0, 1) } else { items(0, 2) };
        reply(&Page { items: all, next })
    })
    .await;
    let operator = Person::at(&platform);
    let all: Page<Account> = operator.runs(&["account", "list", "--json"]).await.json();
    assert_eq!((all.items.len(), all.next), (4, None));
    let one = operator.runs(&["account", "list", "--limit", "1"]).await.good();
    insta::assert_snapshot!("account_list_limited", one);
    assert_eq!(operator.runs(&["account", "list", "--limit", "0"]).await.status, 2);
}

#[tokio::test]
async fn empty_lists_say_what_comes_next() {
    let platform = Platform::start(|_| reply(&Page::<Account> { items: vec![], next: None })).await;
    let person = Person::at(&platform);
    let account = account().to_string();
    let mut said = String::new();
    for list in [
        "account list",
        "user list",
        "offer list",
        "order list",
        "instance list",
        "grants",
        "audit",
        "permissions",
        "bill usage",
        "service list",
        "release list forum",
        "node list",
        "queue list",
        "job list",
    ] {
        let mut arguments: Vec<&str> = list.split(' ').collect();
        if matches!(arguments[0], "user" | "order" | "instance" | "grants" | "audit" | "bill") {
            arguments.extend(["--account", &account]);
        }
        said.extend([list, ": ", &person.runs(&arguments).await.good()]);
        arguments.push("--json");
        let page: Page<Account> = person.runs(&arguments).await.json();
        assert!(page.items.is_empty());
    }
    insta::assert_snapshot!("empty_lists", said);
}

#[tokio::test]
async fn a_reader_that_has_gone_is_no_failure() {
    let platform = Platform::start(|_| me()).await;
    for arguments in
        [&["whoami"][..], &["openapi", "billing"], &["completions", "zsh"], &["--help"]]
    {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Person::at(&platform).command(arguments);
        let child = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let output = child.wait_with_output().await.unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), err.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_stranger_cannot_write_to_the_terminal_what_moves_its_cursor() {
    let platform = Platform::start(|_| {
        let title = "Evil\u{1b}[2J\u{202e}\nInc".to_owned();
        reply(&Account { account: account(), title, created: noon() })
    })
    .await;
    let shown =
        Person::at(&platform).runs(&["account", "show", "--account", &account().to_string()]).await;
    assert!(!shown.good().contains(['\u{1b}', '\u{202e}']));
    let mean = Platform::start(|_| problem(Kind::Invalid, "x", "no\u{1b}]0;title\u{7}")).await;
    assert!(!Person::at(&mean).runs(&["whoami"]).await.err.contains(['\u{1b}', '\u{7}']));
}

#[tokio::test]
async fn a_start_that_failed_tells_its_reason_last() {
    let person = Person::new();
    let folder = person.home.path();
    std::fs::create_dir_all(folder.join("full/agent")).unwrap();
    std::fs::write(folder.join("full/agent/ports"), "").unwrap();
    let database = ["--data", "away", "--database", "postgres://me:secret@127.0.0.1:1/none"];
    let agent = ["--data", "full", "--port", "0"];
    for (arguments, why) in [(&database[..], "refused"), (&agent[..], "ports` cannot be used")] {
        let mut command = person.command(&[&["up"], arguments].concat());
        let output = command.current_dir(folder).output().await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let last = said.lines().last().unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(last.starts_with("error: ") && last.contains(why), "{said}");
        assert_eq!(last.matches("cannot go on").count(), usize::from(why.contains("ports")));
        assert!(!said.contains("secret"), "{said}");
        assert!(!said.contains('\u{1b}'), "no terminal reads it, so there are no colours: {said}");
    }
}
