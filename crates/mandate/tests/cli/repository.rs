//! A push to a branch of a repository publishes it, by the hook that the guide shows.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use api::releases::{OnNodes, PublishRelease, Release, ReleasePhase, Rollout};
use axum::response::Response;
use tokio::process::Command;
use types::{Digest, Page};

use crate::{
    platform::{Asked, Folder, Person, Platform, noon, not_found, reply},
    publishing::{MANIFEST, PRICES, parts, take_package, unpacked},
};

/// Takes packages, and stages what is published.
fn staging() -> impl Fn(&Asked) -> Response {
    let published = std::sync::Mutex::new(None);
    let release = |sent: &PublishRelease| Release {
        digest: sent.digest.clone(),
        service: sent.service.clone(),
        phase: ReleasePhase::Staged,
        public_key: sent.public_key.clone(),
        signature: sent.signature.clone(),
        source: sent.source.clone(),
        created: noon(),
        published_by: None,
        problem: None,
        current: false,
        does_old_jobs: false,
        collected: false,
        on_nodes: OnNodes::default(),
    };
    move |asked| match asked.line.as_str() {
        line if line.contains("/packages/") => take_package(asked, 0).unwrap(),
        "POST /releases/v1/services/guestbook/releases" => {
            let sent = publication(asked);
            let release = release(&sent);
            *published.lock().unwrap() = Some(sent);
            reply(&release)
        }
        "GET /releases/v1/services/guestbook/releases" => {
            let items = published.lock().unwrap().iter().map(release).collect();
            reply(&Page { items, next: None })
        }
        "GET /releases/v1/services/guestbook/rollouts" => {
            reply(&Page::<Rollout> { items: vec![], next: None })
        }
        _ => not_found(),
    }
}

fn publication(asked: &Asked) -> PublishRelease {
    let mut sent: serde_json::Value = asked.body();
    sent["service"] = "guestbook".into();
    serde_json::from_value(sent).unwrap()
}

fn publications(platform: &Platform) -> Vec<PublishRelease> {
    let asked = platform.asked().into_iter();
    asked.filter(|asked| asked.line.starts_with("POST")).map(|it| publication(&it)).collect()
}

/// A developer's clone of a bare repository, whose pushes publish to a platform.
struct Repository {
    bare: Folder,
    work: Folder,
    person: Person,
}

impl Repository {
    async fn new(platform: &Platform) -> Self {
        let (bare, work, person) = (Folder::new(), Folder::new(), Person::at(platform));
        let repository = Self { bare, work, person };
        let bare = repository.bare.text().to_owned();
        repository.git(&["init", "--quiet", "--bare", &bare]).await;
        repository.git(&["init", "--quiet", "--initial-branch=main", "."]).await;
        let hook = repository.bare.path().join("hooks/post-receive");
        fs::write(&hook, hook_of_the_guide()).unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
        let bin = repository.person.home.path().join("bin");
        fs::create_dir(&bin).unwrap();
        symlink(env!("CARGO_BIN_EXE_mandate"), bin.join("mandate")).unwrap();
        repository
    }

    /// What git said, which has what the hook said.
    async fn git(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        let path = std::env::var("PATH").unwrap();
        let bin = self.person.home.path().join("bin");
        command.args(arguments).current_dir(self.work.path()).env_clear();
        for (name, value) in self.person.command(&[]).as_std().get_envs() {
            command.env(name, value.unwrap());
        }
        command.env("PATH", format!("{}:{path}", bin.display())).env("HOME", self.work.path());
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "Ada");
            command.env(format!("GIT_{who}_EMAIL"), "ada@bakery.example");
        }
        let done = command.output().await.expect("git is installed");
        let said = String::from_utf8(done.stderr).unwrap();
        assert!(done.status.success(), "git {arguments:?}: {said}");
        String::from_utf8(done.stdout).unwrap() + &said
    }

    /// Commits all files; answers the commit.
    async fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]).await;
        self.git(&["commit", "--quiet", "--message", message]).await;
        self.git(&["rev-parse", "HEAD"]).await.trim().to_owned()
    }

    async fn push(&self, what: &str) -> String {
        self.git(&["push", self.bare.text(), what]).await
    }
}

/// As an operator would copy it.
fn hook_of_the_guide() -> String {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/services.md");
    let guide = fs::read_to_string(guide).unwrap();
    let begin = guide.find("#!/bin/sh\n# hooks/post-receive").expect("the guide has the hook");
    let end = guide[begin..].find("```").unwrap();
    guide[begin..begin + end].to_owned()
}

/// A service that is packed by a command which asks git where it is.
fn service(folder: &Folder, page: &str) {
    let begin = MANIFEST.find("command").unwrap();
    let end = MANIFEST.find("[run]").unwrap();
    let script =
        "cp -R . $PACKAGE_DIR; git status >/dev/null 2>&1 && touch $PACKAGE_DIR/in-git; true";
    let package = format!("command = [\"sh\", \"-c\", \"{script}\"]\n\n");
    folder.write("mandate.toml", &format!("{}{package}{}", &MANIFEST[..begin], &MANIFEST[end..]));
    folder.write("prices.toml", PRICES);
    folder.write("run", "#!/bin/sh\n");
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.path().join("run"), executable).unwrap();
    folder.write("page.html", page);
}

#[tokio::test]
async fn a_push_to_production_stages_a_release_and_no_other_push_does() {
    let platform = Platform::start(staging()).await;
    let repository = Repository::new(&platform).await;
    service(&repository.work, "<p>one\n");
    let first = repository.commit("one").await;
    repository.push("HEAD:refs/heads/main").await;
    repository.push("HEAD:refs/tags/production").await;
    assert_eq!(platform.lines(), Vec::<String>::new(), "nothing is published");

    let said = repository.push("HEAD:refs/heads/production").await;
    assert!(said.contains("It is staged"), "whoever pushes sees it: {said}");
    let bare = fs::canonicalize(repository.bare.path()).unwrap();
    let source = |commit: &str| Some(format!("{}#production@{commit}", bare.display()));
    let sent = publications(&platform).remove(0);
    assert_eq!(sent.source, source(&first));
    let package = parts(&platform).remove(0);
    assert_eq!(sent.digest, Digest::of(&package.body));
    let files = unpacked(&package.body);
    let names: Vec<&str> = files.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["mandate.toml", "page.html", "prices.toml", "run"], "and no history");

    // What is pushed later is published, and not what another branch has.
    service(&repository.work, "<p>two\n");
    let second = repository.commit("two").await;
    repository.work.write("page.html", "<p>three\n");
    repository.commit("three").await;
    repository.push("HEAD:refs/heads/main").await;
    repository.push(&format!("{second}:refs/heads/production")).await;
    let sent = publications(&platform);
    assert_eq!((sent.len(), &sent[1].source), (2, &source(&second)));
    let files = unpacked(&parts(&platform)[1].body);
    assert_eq!(files[1].2, "<p>two\n");
    // That the branch goes is no release.
    repository.push(":refs/heads/production").await;
    assert_eq!(publications(&platform).len(), 2);
}

#[tokio::test]
async fn a_folder_of_a_branch_is_published_and_what_is_not_there_is_said() {
    let platform = Platform::start(staging()).await;
    let repository = Repository::new(&platform).await;
    let (work, person) = (&repository.work, &repository.person);
    service(work, "<p>one\n");
    symlink("/etc", work.path().join("out")).unwrap();
    let services = work.path().join("services/guestbook");
    fs::create_dir_all(&services).unwrap();
    for name in ["mandate.toml", "prices.toml", "run", "page.html"] {
        fs::rename(work.path().join(name), services.join(name)).unwrap();
    }
    repository.commit("below").await;
    let temporary = Folder::new();
    let publish = async |dir: &[&str], branch: &str| {
        let arguments = [&["service", "publish"], dir, &["--git", branch]].concat();
        let mut command = person.command(&arguments);
        command.env("TMPDIR", temporary.path());
        let done = command.output().await.unwrap();
        let left = fs::read_dir(temporary.path()).unwrap().count();
        assert_eq!(left, 0, "nothing is left behind");
        (done.status.code().unwrap(), String::from_utf8(done.stderr).unwrap())
    };
    // A repository that is not bare will do, too.
    let main = format!("{}#main", work.text());
    let (status, said) = publish(&["services/guestbook"], &main).await;
    assert_eq!(status, 0, "{said}");
    assert_eq!(parts(&platform).len(), 1);
    assert_eq!(unpacked(&parts(&platform)[0].body).len(), 4);
    for (dir, status, says) in [
        (&[][..], 4, "mandate.toml"),
        (&["services/forum"], 4, "services/forum"),
        (&["../.."], 5, "is no folder of the repository"),
        (&["out"], 5, "is no folder of the repository"),
    ] {
        let (found, said) = publish(dir, &main).await;
        assert!((found, said.contains(says)) == (status, true), "{dir:?} {found}: {said}");
    }
    let (status, said) = publish(&[], &format!("{}#production", work.text())).await;
    assert!(status == 4 && said.contains("no such branch"), "{status}: {said}");
    let (status, said) = publish(&[], &format!("{}/nowhere#main", work.text())).await;
    assert!(status == 5 && said.contains("git says"), "{status}: {said}");
    assert_eq!(publish(&[], work.text()).await.0, 2);
    assert_eq!(person.runs(&["service", "publish"]).await.status, 2);
    let mut without = person.command(&["service", "publish", "--git", &main]);
    let without = without.env("PATH", "/nowhere").output().await.unwrap();
    let said = String::from_utf8(without.stderr).unwrap();
    assert!(said.contains("there is no program `git`"), "{said}");
    assert_eq!(publications(&platform).len(), 1);
}
