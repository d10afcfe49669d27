//! The house holds: who may depend on whom, where SQL, clocks and output may stand, and that the
//! map says what is there. Each rule is a function from a text to sentences, shown to be able to
//! fail on a text that breaks it, and then asked about the tree.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use api::COMPONENTS;

/// What every component may stand on.
const GROUND: [&str; 5] = ["types", "policy", "db", "api", "chassis"];
/// The rooms that own no interface, and are walled off all the same.
const EDGES: [&str; 3] = ["gateway", "console", "agent"];
/// A file may have so many lines beside its tests.
const LINES_MAX: usize = 500;
/// A component may show so much to the program that composes it.
const PUBLIC_MAX: usize = 4;
/// SQL may stand here, beside modules called `store`.
const SQL_PLACES: [&str; 6] = [
    "crates/db/",
    "crates/chassis/src/feed/",
    "crates/chassis/src/repeat.rs",
    "crates/chassis/src/proposal.rs",
    "crates/chassis/src/house.rs",
    "xtask/peers/",
];
/// What is printed belongs to programs that people start.
const PRINT_PLACES: [&str; 3] = ["crates/mandate/src/", "xtask/", "services/forum/src/"];
/// The one place that asks the machine for the time.
const CLOCK_PLACE: &str = "crates/types/src/time.rs";
const CLOCKS: [&str; 4] = ["SystemTime::now", "Utc::now", "Timestamp::now", "Zoned::now"];
/// The rooms of the gateway, from the top down: each names only those below it.
const GATEWAY_ROOMS: [&str; 9] =
    ["edge", "phases", "state", "routes", "upstream", "usage", "access_log", "render", "request"];
/// Names that say nothing.
const EMPTY_WORDS: &str = "\
    manager managers helper helpers util utils utilities common misc";
const COLUMN_TYPES: [&str; 4] = ["text", "bigint", "boolean", "bytea"];
/// Read differently by the two engines, or by one alone.
const UNPORTABLE: &str = "\
    serial bigserial json jsonb uuid timestamp timestamptz datetime now current_timestamp \
    current_date autoincrement generated identity array";
/// Reserved by PostgreSQL or SQLite: quoted here and there, and forgotten somewhere else.
const RESERVED: &str = "\
    all and as asc between by case check column constraint create default delete desc \
    distinct else end except from grant group having in index insert into is join limit not \
    null offset on or order select set table to transaction union user values when";

/// A file of Rust, as the rules look at it.
struct Source {
    path: String,
    /// Without comments, without what stands in quotes, without modules of tests; each line is
    /// where it was.
    code: String,
    /// How many lines it has beside its tests.
    lines: usize,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let (code, tested) = without_tests(&without_words(text));
        Self { path: path.to_owned(), code, lines: text.lines().count() - tested }
    }

    /// Whether the whole file is a test, a measurement or an example.
    fn is_test(&self) -> bool {
        let folders = ["/tests/", "/tests.rs", "/benches/", "/examples/"];
        folders.iter().any(|folder| self.path.contains(folder))
    }

    /// Where `needle` stands, as `file:line`.
    fn places<'s>(&'s self, needle: &'s str) -> impl Iterator<Item = String> + 's {
        let lines = self.code.lines().enumerate();
        lines
            .filter(move |(_, line)| line.contains(needle))
            .map(|(number, _)| format!("{}:{}", self.path, number + 1))
    }
}

/// A package of the workspace with those that it depends on, in whatever way.
struct Package {
    name: String,
    depends: BTreeSet<String>,
}

impl Package {
    fn new(name: &str, depends: &[&str]) -> Self {
        Self { name: name.to_owned(), depends: depends.iter().map(ToString::to_string).collect() }
    }
}

/// A row of the map in ARCHITECTURE.md.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    name: String,
    sentence: String,
    depends: BTreeSet<String>,
}

// What the rules say.

fn may_depend_on(name: &str) -> Option<Vec<&'static str>> {
    Some(match name {
        "types" | "browser" | "xtask" => vec![],
        "policy" | "db" | "api" | "tenancy" => vec!["types"],
        "chassis" => vec!["types", "policy", "db", "api"],
        "agent" => vec!["types", "api"],
        "console" => vec!["types", "api", "browser"],
        "gateway" => vec!["types", "api", "chassis"],
        "forum" => vec!["tenancy"],
        "mandate" => GROUND.into_iter().chain(COMPONENTS).chain(EDGES).chain(["browser"]).collect(),
        name if COMPONENTS.contains(&name) => GROUND.to_vec(),
        _ => return None,
    })
}

fn forbidden_edges(package: &Package) -> Vec<String> {
    let name = &package.name;
    let Some(allowed) = may_depend_on(name) else {
        return vec![format!(
            "`{name}` is new: say in `may_depend_on` of this test what it may stand on"
        )];
    };
    let wrong = package.depends.iter().filter(|other| !allowed.contains(&other.as_str()));
    wrong
        .map(|other| {
            let mend = if COMPONENTS.contains(&other.as_str()) {
                "send it an operation of `api` instead"
            } else {
                "move what both need to the ground floor, or do without"
            };
            format!("`{name}` depends on `{other}`, also if only for its tests: {mend}")
        })
        .collect()
}

fn traces_of_ours(path: &str, text: &str) -> Vec<String> {
    let lines = text.lines().enumerate().filter(|(_, line)| {
        let line = line.to_lowercase();
        line.contains("mandate") || line.contains("tenancy")
    });
    lines
        .map(|(number, _)| {
            format!(
                "{path}:{}: the store names the platform: it is written as if there were none",
                number + 1
            )
        })
        .collect()
}

fn sql_outside_a_store(source: &Source) -> Vec<String> {
    let path = &source.path;
    let is_store = path.contains("/store/") || path.ends_with("/store.rs");
    if source.is_test() || is_store || SQL_PLACES.iter().any(|place| path.starts_with(place)) {
        return Vec::new();
    }
    // A type of failure is no statement.
    let code = source.code.replace("sqlx::Error", "").replace("sqlx::error::", "");
    let source = Source { path: path.clone(), code, lines: source.lines };
    let mut places: Vec<String> =
        source.places("db::query").chain(source.places("sqlx::")).collect();
    let imported = source.code.split("db::{").skip(1).any(|rest| {
        let names = rest.split('}').next().unwrap_or_default();
        words(names).any(|name| name == "query")
    });
    places.extend(imported.then(|| path.clone()));
    let sentence = |place| format!("{place}: SQL outside a store: move it to the crate's `store`");
    places.into_iter().map(sentence).collect()
}

fn too_long(source: &Source) -> Vec<String> {
    let (path, lines) = (&source.path, source.lines);
    let long = !source.is_test() && lines > LINES_MAX;
    let sentence = || {
        format!(
            "{path}: {lines} lines without tests, and {LINES_MAX} are allowed: split it by noun"
        )
    };
    long.then(sentence).into_iter().collect()
}

/// What begins in the first column is an item of the crate itself.
fn too_public(name: &str, library: &Source) -> Vec<String> {
    let code = format!("\n{}", library.code);
    let items = code.split("\npub ").skip(1).map(|item| {
        let names = item.strip_prefix("use ").and_then(|item| item.split(['{', ';']).nth(1));
        let names = names.filter(|_| item.split(';').next().is_some_and(|item| item.contains('{')));
        let listed =
            |names: &str| names.split(['}', ',']).filter(|name| !name.trim().is_empty()).count();
        names.map_or(1, listed)
    });
    let shown: usize = items.sum();
    let sentence = || {
        format!("`{name}` shows {shown} items, and {PUBLIC_MAX} are allowed: make the rest private")
    };
    (shown > PUBLIC_MAX).then(sentence).into_iter().collect()
}

fn empty_names(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in source.code.lines().enumerate() {
        let mut before = "";
        for word in words(line) {
            let declares = matches!(before, "struct" | "enum" | "trait" | "type" | "mod");
            if declares && parts(word).iter().any(|part| is_one_of(part, EMPTY_WORDS)) {
                let place = format!("{}:{}", source.path, number + 1);
                found.push(format!("{place}: `{word}` says nothing: name it by what it does"));
            }
            before = word;
        }
    }
    found
}

fn clocks_and_output(source: &Source) -> Vec<String> {
    if source.is_test() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for clock in CLOCKS.iter().filter(|_| source.path != CLOCK_PLACE) {
        found.extend(source.places(clock).map(|place| {
            format!("{place}: `{clock}`: take a `types::Clock`, so that a month can pass in a test")
        }));
    }
    let may_print = PRINT_PLACES.iter().any(|place| source.path.starts_with(place));
    for print in ["print!(", "println!("].iter().filter(|_| !may_print) {
        found.extend(source.places(print).map(|place| {
            format!("{place}: prints: log with `tracing`; stdout is for the command line")
        }));
    }
    found
}

/// While somebody waits for a connection, whoever is polled from there goes on with nothing, and keeps the
/// connections that it has or is given: all wait for each other until they give up.
fn waits_for_itself(source: &Source) -> Vec<String> {
    let is_component =
        COMPONENTS.iter().any(|name| source.path.starts_with(&format!("crates/{name}/src/")));
    if source.is_test() || !is_component {
        return Vec::new();
    }
    let ways = ["FuturesUnordered", "FuturesOrdered", "buffer_unordered", "buffered("];
    let found = ways.iter().flat_map(|way| {
        source.places(way).map(move |place| {
            format!("{place}: `{way}`: have each be a task of its own, such as in a `JoinSet`")
        })
    });
    found.collect()
}

fn unportable(path: &str, text: &str) -> Vec<String> {
    let sql = without_sql_comments(text).to_lowercase();
    let mut found = Vec::new();
    for word in words(&sql).filter(|word| is_one_of(word, UNPORTABLE)) {
        found.push(format!("{path}: `{word}` is not read alike by both engines: do without"));
    }
    for (table, body) in tables(&sql) {
        let columns = split_at_commas(&body).into_iter().filter(|part| !is_constraint(part));
        for column in columns {
            let (name, kind) = column.split_once(char::is_whitespace).unwrap_or((&column, ""));
            let kind = words(kind).next().unwrap_or_default().to_owned();
            if !COLUMN_TYPES.contains(&kind.as_str()) {
                found.push(format!(
                    "{path}: `{table}.{name}` is `{kind}`: use text, bigint, boolean or bytea"
                ));
            }
            if is_one_of(name.trim_matches('"'), RESERVED) {
                found.push(format!("{path}: the column `{table}.{name}` has a reserved name"));
            }
        }
        if is_one_of(&table, RESERVED) {
            found.push(format!("{path}: the table `{table}` has a reserved name"));
        }
    }
    found
}

fn off_the_map(map: &[Row], there: &[Row]) -> Vec<String> {
    let by_name =
        |rows: &[Row]| -> BTreeSet<String> { rows.iter().map(|row| row.name.clone()).collect() };
    let mut found: Vec<String> = by_name(map)
        .symmetric_difference(&by_name(there))
        .map(|name| {
            format!("ARCHITECTURE.md: `{name}` is in the map or in the tree, and not in both")
        })
        .collect();
    for row in there {
        let Some(drawn) = map.iter().find(|drawn| drawn.name == row.name) else { continue };
        if drawn.sentence != row.sentence {
            let (name, says) = (&row.name, &row.sentence);
            found.push(format!(
                "ARCHITECTURE.md: the first line of `{name}` is `{says}`: write that"
            ));
        }
        if drawn.depends != row.depends {
            let list: Vec<&str> = row.depends.iter().map(String::as_str).collect();
            let (name, list) = (&row.name, list.join(", "));
            found.push(format!("ARCHITECTURE.md: `{name}` depends on `{list}`: write that"));
        }
    }
    found
}

fn broken_links(path: &str, text: &str, is_there: impl Fn(&Path) -> bool) -> Vec<String> {
    let folder = Path::new(path).parent().unwrap_or(Path::new(""));
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let files = targets.filter(|target| !target.starts_with("http") && !target.starts_with('#'));
    let broken = files.filter(|target| {
        let file = target.split('#').next().unwrap_or_default();
        !is_there(&folder.join(file))
    });
    broken.map(|target| format!("{path}: the link to `{target}` leads nowhere")).collect()
}

/// Tests that a document names, by their names' length: nothing else in it has three `_`.
fn named_tests(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2).filter(|name| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        name.matches('_').count() >= 3 && name.bytes().all(plain)
    })
}

fn unknown_tests(path: &str, text: &str, known: &BTreeSet<String>) -> Vec<String> {
    let unknown = named_tests(text).filter(|name| !known.contains(*name));
    unknown.map(|name| format!("{path}: there is no test `{name}`")).collect()
}

/// The functions that are run as tests: by an attribute, or as stories, which take a world alone.
fn tests_in(text: &str) -> Vec<String> {
    let code = without_words(text);
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let head = code[..at].rsplit([';', '{', '}']).next().unwrap_or_default();
        let name = words(&code[at + 3..]).next().unwrap_or_default();
        let rest = code[at + 3 + name.len()..].split('{').next().unwrap_or_default();
        let is_story = rest.split_once(':').is_some_and(|(_, rest)| rest == " &World) ");
        let is_test = ["test]", "test("].iter().any(|end| head.contains(end));
        found.extend((is_test || is_story).then(|| name.to_owned()));
    }
    found
}

/// Files of a crate that name one another in a circle, wherever in the code: by `crate::…`,
/// `super::…` or `self::…`, or by what is in their folder. What stands at the crate's root is
/// everybody's; a folder and what is in it are one another's, until somebody outside is between.
fn circles(files: &[(String, &str)]) -> BTreeSet<BTreeSet<String>> {
    let outside = rings(files, true).into_iter().filter(|ring| !is_one_folder(ring));
    let mut found: BTreeSet<BTreeSet<String>> = outside.collect();
    let among_equals = rings(files, false);
    let fresh = among_equals.into_iter().filter(|ring| !found.iter().any(|it| ring.is_subset(it)));
    let fresh: Vec<_> = fresh.collect();
    found.extend(fresh);
    found
}

/// Whether one of the files is the folder that the others are in.
fn is_one_folder(ring: &BTreeSet<String>) -> bool {
    let is_above = |top: &str| ring.iter().all(|file| file == top || is_inside(file, top));
    ring.iter().any(|file| is_above(file))
}

fn is_inside(file: &str, folder: &str) -> bool {
    file.strip_prefix(folder).is_some_and(|rest| rest.starts_with("::"))
}

/// Files that reach one another. With `down`, a folder's file reaches what it names of the folder.
fn rings(files: &[(String, &str)], down: bool) -> BTreeSet<BTreeSet<String>> {
    let modules: Vec<&str> = files.iter().map(|(module, _)| module.as_str()).collect();
    let named = files.iter().map(|(module, code)| {
        let below = modules.iter().filter_map(|other| other.strip_prefix(module.as_str()));
        let below = below.filter_map(|rest| rest.strip_prefix("::"));
        let below = below.filter(|rest| !rest.contains("::")).collect();
        (module.as_str(), named_in(module, code, &below))
    });
    let named: BTreeMap<&str, BTreeSet<String>> = named.collect();
    let edges = |from: &str| -> BTreeSet<&str> {
        let files = named.get(from).into_iter().flatten().filter_map(|path| {
            let above = modules.iter().filter(|it| path == **it || is_inside(path, it));
            above.max_by_key(|module| module.len()).copied()
        });
        files.filter(|to| *to != from && (down || !is_inside(to, from))).collect()
    };
    let reached = |from: &str| {
        let mut reached = BTreeSet::new();
        let mut open = edges(from);
        while let Some(next) = open.pop_first() {
            if reached.insert(next) {
                open.extend(edges(next));
            }
        }
        reached
    };
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        modules.iter().map(|module| (*module, reached(module))).collect();
    let ring = |module: &str| {
        let both = reach[module].iter().filter(|other| reach[**other].contains(module));
        both.map(ToString::to_string).collect::<BTreeSet<String>>()
    };
    modules.iter().map(|module| ring(module)).filter(|ring| ring.len() > 1).collect()
}

/// The paths from the crate's root that the code of a module names; `below` are the modules in its
/// folder.
fn named_in(module: &str, code: &str, below: &BTreeSet<&str>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut read = 0;
    for (at, _) in code.match_indices("::") {
        let begins = code[..at].trim_end_matches(is_word).len();
        // Within a tree that was read, behind a type's brackets, or in the middle of a path.
        if begins < read || begins == at || code[..begins].ends_with(':') {
            continue;
        }
        let (paths, length) = tree(&code[begins..]);
        read = begins + length;
        found.extend(paths.iter().filter_map(|path| from_root(module, path, below)));
    }
    found
}

/// The paths of the tree that a text begins with, such as `a::{b, c::d}`, and how long it is.
fn tree(text: &str) -> (Vec<String>, usize) {
    let (mut paths, mut above, mut word) = (Vec::new(), vec![String::new()], String::new());
    for (at, letter) in text.char_indices() {
        let whole = format!("{}{word}", above.last().unwrap());
        match letter {
            letter if is_word(letter) || letter == ':' => word.push(letter),
            '{' if word.is_empty() || word.ends_with("::") => {
                above.push(whole);
                word.clear();
            }
            _ => {
                if !word.is_empty() {
                    paths.push(whole);
                    word.clear();
                }
                if letter == '}' {
                    above.pop();
                }
                if above.len() < 2 {
                    return (paths, at);
                }
            }
        }
    }
    (paths, text.len())
}

/// A path as it is from the crate's root, if it is one of this crate's.
fn from_root(module: &str, path: &str, below: &BTreeSet<&str>) -> Option<String> {
    let (root, rest) = path.split_once("::")?;
    let (mut folder, mut rest) = match root {
        "crate" => ("", rest),
        "self" => (module, rest),
        "super" => (module, path),
        root if below.contains(root) => (module, path),
        _ => return None,
    };
    while let Some(further) = rest.strip_prefix("super::") {
        folder = folder.rsplit_once("::").map_or("", |(folder, _)| folder);
        rest = further;
    }
    Some(if folder.is_empty() { rest.to_owned() } else { format!("{folder}::{rest}") })
}

/// Files of a lower room that name a higher one, and those that are in none.
fn against_the_order(rooms: &[&str], files: &[(String, &str)]) -> Vec<String> {
    let room_of = |path: &str| {
        let first = path.split("::").next().unwrap_or_default();
        rooms.iter().position(|room| *room == first)
    };
    let mut found = Vec::new();
    for (module, code) in files {
        let Some(own) = room_of(module) else {
            found.push(format!("`{module}` is in no room: put it into one, or name a new one"));
            continue;
        };
        let named = named_in(module, code, &BTreeSet::new());
        let above: BTreeSet<usize> =
            named.iter().filter_map(|path| room_of(path)).filter(|room| *room < own).collect();
        found.extend(above.into_iter().map(|room| {
            let room = rooms[room];
            format!("`{module}` names `{room}`, which stands above it: take what it needs as an argument")
        }));
    }
    found
}

// How texts are read.

fn is_one_of(word: &str, list: &str) -> bool {
    list.split(' ').any(|listed| listed == word)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
        .filter(|word| !word.is_empty())
}

/// `JobHelper` and `job_helper` alike are `job` and `helper`.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for letter in name.chars() {
        if letter == '_' || letter.is_uppercase() {
            parts.push(String::new());
        }
        let last = parts.last_mut().unwrap();
        last.extend(letter.to_lowercase().filter(|letter| *letter != '_'));
    }
    parts
}

/// Blanks comments and what stands in quotes.
fn without_words(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let quoted = quoted_length(rest, code.chars().last());
        let length = quoted.unwrap_or(first.len_utf8());
        let (taken, after) = rest.split_at(length);
        match quoted {
            Some(_) => code.extend(taken.chars().map(|c| if c == '\n' { '\n' } else { ' ' })),
            None => code.push_str(taken),
        }
        rest = after;
    }
    code
}

/// How long the comment or literal is that `rest` begins with, if it begins with one.
fn quoted_length(rest: &str, before: Option<char>) -> Option<usize> {
    let up_to = |end: &str| rest.find(end).map_or(rest.len(), |at| at + end.len());
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(up_to("*/"));
    }
    if let Some(raw) = rest.strip_prefix('r').filter(|_| before.is_none_or(|c| !is_word(c))) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let (begun, end) = (hashes + 2, format!("\"{}", "#".repeat(hashes)));
            return Some(rest[begun..].find(&end).map_or(rest.len(), |at| begun + at + end.len()));
        }
    }
    if rest.starts_with('"') {
        return Some(ends_at(rest, '"'));
    }
    let mut letters = rest.strip_prefix('\'')?.chars();
    // Otherwise it is a lifetime.
    let is_character = letters.next() == Some('\\') || letters.next() == Some('\'');
    is_character.then(|| ends_at(rest, '\''))
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

fn ends_at(rest: &str, quote: char) -> usize {
    let mut escaped = true;
    for (at, letter) in rest.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            letter if letter == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Blanks what is only there for tests; says how many lines that was.
fn without_tests(code: &str) -> (String, usize) {
    const MARK: &str = "#[cfg(test)]";
    let (mut kept, mut blanked, mut rest) = (String::new(), 0, code);
    while let Some(at) = rest.find(MARK) {
        let (before, item) = rest.split_at(at);
        let end = item_end(item);
        let newlines = item[..end].matches('\n').count();
        kept.push_str(before);
        kept.push_str(&"\n".repeat(newlines));
        blanked += newlines;
        rest = &item[end..];
    }
    (kept + rest, blanked)
}

fn item_end(item: &str) -> usize {
    let mut depth = 0_usize;
    for (at, letter) in item.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth = depth.saturating_sub(1),
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    item.len()
}

fn without_sql_comments(text: &str) -> String {
    text.lines().map(|line| line.split("--").next().unwrap_or_default().to_owned() + "\n").collect()
}

/// The tables that are made, with what stands in their brackets, and columns that are added.
fn tables(sql: &str) -> Vec<(String, String)> {
    let mut tables = Vec::new();
    for statement in sql.split(';') {
        let said: Vec<&str> = words(statement).collect();
        let body = match said.as_slice() {
            ["create", "table", ..] => statement.split_once('(').map(|(_, body)| body),
            ["alter", "table", ..] => statement.split_once("add column").map(|(_, body)| body),
            _ => None,
        };
        if let (Some(body), Some(name)) = (body, said.get(2)) {
            let end = body.rfind(')').filter(|_| said[0] == "create").unwrap_or(body.len());
            tables.push(((*name).to_owned(), body[..end].to_owned()));
        }
    }
    tables
}

fn split_at_commas(body: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0_usize);
    for letter in body.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().unwrap().push(letter);
    }
    parts.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

fn is_constraint(part: &str) -> bool {
    let first = words(part).next().unwrap_or_default();
    matches!(first, "primary" | "foreign" | "unique" | "check" | "constraint")
}

/// The rows of the map: `| name | sentence | owns | depends on |`, names in backticks.
fn map_of(text: &str) -> Vec<Row> {
    let named = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    let mut rows = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let [_, name, sentence, _, depends, _] = cells.as_slice() {
            let (name, sentence) = (name.trim_matches('`').to_owned(), (*sentence).to_owned());
            rows.push(Row { name, sentence, depends: named(depends) });
        }
    }
    rows
}

// The tree.

fn root() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    crates.and_then(Path::parent).unwrap().to_owned()
}

/// Every file below `folder`, with its path from the root.
fn files(folder: &str) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        for entry in
            fs::read_dir(&folder).unwrap_or_else(|cause| panic!("{}: {cause}", folder.display()))
        {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with(['.', '_']) && name != "target" {
                open.push(path);
            } else if path.is_file() {
                let from_root = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                found.insert(from_root, path);
            }
        }
    }
    found
}

fn texts(folders: &[&str], ends: &str) -> Vec<(String, String)> {
    let all = folders.iter().flat_map(|folder| files(folder));
    let wanted = all.filter(|(path, _)| path.ends_with(ends));
    wanted.map(|(path, file)| (path, fs::read_to_string(file).unwrap())).collect()
}

fn rust() -> Vec<(String, String)> {
    texts(&["crates", "services", "xtask"], ".rs")
}

/// Read once for all rules.
static SOURCES: LazyLock<Vec<Source>> =
    LazyLock::new(|| rust().iter().map(|(path, text)| Source::new(path, text)).collect());

fn packages() -> Vec<Package> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version", "1", "--no-deps", "--manifest-path"]);
    let output = command.arg(root().join("Cargo.toml")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let read = |package: &serde_json::Value| {
        let depends = package["dependencies"].as_array().unwrap().iter();
        // What has a path is ours, whether it is for building, testing or both.
        let ours = depends.filter(|other| other["path"].is_string());
        let names: Vec<&str> = ours.map(|other| other["name"].as_str().unwrap()).collect();
        Package::new(package["name"].as_str().unwrap(), &names)
    };
    metadata["packages"].as_array().unwrap().iter().map(read).collect()
}

fn documents() -> Vec<(String, String)> {
    let top = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"];
    let top = top.map(|name| (name.to_owned(), fs::read_to_string(root().join(name)).unwrap()));
    top.into_iter().chain(texts(&["docs"], ".md")).collect()
}

fn hold(found: impl IntoIterator<Item = String>) {
    let found: Vec<String> = found.into_iter().collect();
    assert!(found.is_empty(), "the house does not hold:\n{}", found.join("\n"));
}

#[test]
fn no_component_depends_on_another() {
    hold(packages().iter().flat_map(forbidden_edges));
}

#[test]
fn the_store_has_never_heard_of_us() {
    let described = ["/mandate.toml", "/prices.toml", "/README.md"];
    let files = texts(&["services/store"], "");
    let own = files.iter().filter(|(path, _)| !described.iter().any(|end| path.ends_with(end)));
    hold(own.flat_map(|(path, text)| traces_of_ours(path, text)));
}

#[test]
fn sql_stands_in_stores() {
    hold(SOURCES.iter().flat_map(sql_outside_a_store));
}

#[test]
fn files_are_short() {
    hold(SOURCES.iter().flat_map(too_long));
}

#[test]
fn components_show_little() {
    let libraries = COMPONENTS.iter().chain(&EDGES).flat_map(|name| {
        let path = format!("crates/{name}/src/lib.rs");
        let text = fs::read_to_string(root().join(&path)).unwrap();
        too_public(name, &Source::new(&path, &text))
    });
    hold(libraries);
}

#[test]
fn names_say_something() {
    hold(SOURCES.iter().flat_map(empty_names));
}

#[test]
fn the_time_is_handed_in_and_output_is_for_programs() {
    hold(SOURCES.iter().flat_map(clocks_and_output));
}

#[test]
fn what_is_driven_at_once_waits_for_no_other() {
    hold(SOURCES.iter().flat_map(waits_for_itself));
}

#[test]
fn migrations_are_read_alike_by_both_engines() {
    let migrations = texts(&["crates", "services/forum"], ".sql");
    assert!(migrations.len() > 7, "the migrations were not found");
    hold(migrations.iter().flat_map(|(path, text)| unportable(path, text)));
}

#[test]
fn the_map_says_what_is_there() {
    let rooms =
        packages().into_iter().filter(|package| !["forum", "xtask"].contains(&&*package.name));
    let row = |package: Package| {
        let folder = root().join("crates").join(&package.name).join("src");
        let text = fs::read_to_string(folder.join("lib.rs"));
        let text = text.or_else(|_| fs::read_to_string(folder.join("main.rs"))).unwrap();
        let first = text.lines().next().unwrap_or_default();
        let sentence = first.trim_start_matches("//! ").to_owned();
        Row { name: package.name, sentence, depends: package.depends }
    };
    let there: Vec<Row> = rooms.map(row).collect();
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    hold(off_the_map(&map_of(&map), &there));
}

#[test]
fn documents_name_what_is_there() {
    let known: BTreeSet<String> = rust().iter().flat_map(|(_, text)| tests_in(text)).collect();
    let mut named = 0;
    for (path, text) in documents() {
        hold(broken_links(&path, &text, |file| root().join(file).exists()));
        hold(unknown_tests(&path, &text, &known));
        named += named_tests(&text).count();
    }
    assert!(named > 30, "the documents name {named} tests: they are not read any more");
}

#[test]
fn files_stand_in_no_circle() {
    let mut crates: BTreeMap<&str, Vec<(String, &str)>> = BTreeMap::new();
    for source in SOURCES.iter().filter(|source| !source.is_test()) {
        let Some((name, file)) = source.path.split_once("/src/") else { continue };
        let module = file.trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::");
        if !["lib", "main"].contains(&module.as_str()) {
            crates.entry(name).or_default().push((module, &source.code));
        }
    }
    assert!(crates.len() > 15, "the crates were not found");
    hold(crates.iter().flat_map(|(name, files)| {
        let sentence = |circle: BTreeSet<String>| {
            let circle = circle.into_iter().collect::<Vec<_>>().join(", ");
            format!("`{name}`: files in a circle: {circle}: let one of them not know the other")
        };
        circles(files).into_iter().map(sentence).collect::<Vec<_>>()
    }));
    hold(against_the_order(&GATEWAY_ROOMS, &crates["crates/gateway"]));
}

/// That each rule can fail.
mod failing {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source::new(path, text)
    }

    #[test]
    fn an_edge_between_components_is_found() {
        let wrong = forbidden_edges(&Package::new("billing", &["types", "chassis", "identity"]));
        assert_eq!(wrong.len(), 1);
        assert!(wrong[0].contains("`billing` depends on `identity`"), "{wrong:?}");
        assert_eq!(forbidden_edges(&Package::new("agent", &["types", "chassis"])).len(), 1);
        assert_eq!(forbidden_edges(&Package::new("forum", &["tenancy", "types"])).len(), 1);
        assert_eq!(forbidden_edges(&Package::new("newcomer", &[])).len(), 1);
        assert!(forbidden_edges(&Package::new("billing", &GROUND)).is_empty());
    }

    #[test]
    fn a_store_that_has_heard_of_us_is_found() {
        assert_eq!(
            traces_of_ours("app.py", "import os\nTOKEN = 'MANDATE_TOKEN'"),
            ["app.py:2: the store names the platform: it is written as if there were none"]
        );
        assert!(traces_of_ours("app.py", "import os").is_empty());
    }

    #[test]
    fn sql_outside_a_store_is_found() {
        let found = |path, text| sql_outside_a_store(&source(path, text)).len();
        assert_eq!(found("crates/a/src/lib.rs", "db::query(\"select 1\")"), 1);
        assert_eq!(found("crates/a/src/lib.rs", "use db::{Db, query};"), 1);
        assert_eq!(found("crates/a/src/lib.rs", "sqlx::query(\"select 1\")"), 1);
        assert_eq!(found("crates/a/src/store.rs", "db::query(\"select 1\")"), 0);
        assert_eq!(found("crates/a/src/store/b.rs", "db::query(\"select 1\")"), 0);
        assert_eq!(found("crates/a/src/lib.rs", "// db::query(\nfn f(_: sqlx::Error) {}"), 0);
    }

    #[test]
    fn what_may_wait_for_itself_is_found() {
        let found = |path, text| waits_for_itself(&source(path, text)).len();
        let text = "let driven = FuturesUnordered::new();";
        assert_eq!(found("crates/jobs/src/a.rs", text), 1);
        assert_eq!(found("crates/jobs/src/tests.rs", text), 0);
        assert_eq!(found("crates/gateway/src/a.rs", text), 0);
    }

    #[test]
    fn a_long_file_is_found_without_its_tests() {
        let (long, tests) = ("let a = 1;\n".repeat(501), "#[cfg(test)]\nmod tests {\n{}\n}\n");
        assert_eq!(too_long(&source("crates/a/src/b.rs", &long)).len(), 1);
        assert!(too_long(&source("crates/a/tests/b.rs", &long)).is_empty());
        let short = "let a = 1;\n".repeat(400) + &tests.replace("{}", &"{ }\n".repeat(300));
        assert!(too_long(&source("crates/a/src/b.rs", &short)).is_empty());
    }

    #[test]
    fn a_room_without_walls_is_found() {
        let open = "pub use a::{\n    B, C,\n    D,\n};\npub struct E {\n    pub f: u8,\n}\npub fn g() {}\n";
        assert!(too_public("a", &source("lib.rs", open))[0].contains("shows 5 items"));
        let four = "pub use a::B;\npub use c::{D, E};\npub mod f {}\n";
        assert!(too_public("a", &source("lib.rs", four)).is_empty());
        let closed = "pub struct E {\n    pub f: u8,\n}\npub(crate) fn g() {}\n";
        assert!(too_public("a", &source("lib.rs", closed)).is_empty());
    }

    #[test]
    fn a_name_that_says_nothing_is_found() {
        let found = |text| empty_names(&source("a.rs", text)).len();
        assert_eq!(found("pub(crate) struct JobManager;"), 1);
        assert_eq!(found("mod string_utils;"), 1);
        assert_eq!(found("trait Helper {}"), 1);
        assert_eq!(found("struct Utility; // a Manager\nconst A: &str = \"struct Helper\";"), 0);
    }

    #[test]
    fn a_clock_and_a_print_are_found() {
        let found = |path, text| clocks_and_output(&source(path, text)).len();
        assert_eq!(found("crates/a/src/b.rs", "let now = SystemTime::now();"), 1);
        assert_eq!(found("crates/a/src/b.rs", "let now = jiff::Timestamp::now();"), 1);
        assert_eq!(found(CLOCK_PLACE, "let now = jiff::Timestamp::now();"), 0);
        assert_eq!(found("crates/a/src/b.rs", "println!(\"a\");"), 1);
        assert_eq!(found("crates/a/src/b.rs", "eprint!(\"a\");"), 1);
        assert_eq!(found("crates/mandate/src/b.rs", "println!(\"a\");"), 0);
        assert_eq!(found("crates/a/tests/b.rs", "println!(\"a\");"), 0);
        assert_eq!(found("crates/a/src/b.rs", "let a = r#\"println!()\"#; '\"' ; b'\\''"), 0);
    }

    #[test]
    fn what_one_engine_reads_alone_is_found() {
        let found = |text| unportable("a.sql", text).len();
        assert_eq!(found("create table a (id serial primary key)"), 2);
        assert_eq!(found("create table a (id integer primary key)"), 1);
        assert_eq!(found("create table a (made bigint default (now()))"), 1);
        assert_eq!(found("create table a (\"limit\" bigint, end bigint)"), 2);
        assert_eq!(found("CREATE TABLE user (id TEXT)"), 1);
        assert_eq!(found("alter table a add column b json"), 2);
        let good = "-- serial, now()\ncreate table a (id text, n bigint check (n in (1, 2)), \
                    primary key (id, n));\ncreate index a_by_n on a (n);";
        assert!(unportable("a.sql", good).is_empty(), "{:?}", unportable("a.sql", good));
    }

    #[test]
    fn a_map_that_differs_is_found() {
        let map = map_of("| `a` | Does a. | yes | `types`, `db` |\n| `gone` | Was. | – | – |\n");
        assert_eq!(map[0].depends, Package::new("a", &["types", "db"]).depends);
        let row = |sentence: &str, depends: &[&str]| Row {
            name: "a".to_owned(),
            sentence: sentence.to_owned(),
            depends: Package::new("a", depends).depends,
        };
        assert_eq!(off_the_map(&map[..1], &[row("Does a.", &["types", "db"])]), [""; 0]);
        assert_eq!(off_the_map(&map[..1], &[row("Does b.", &["types"])]).len(), 2);
        assert_eq!(off_the_map(&map, &[row("Does a.", &["types", "db"])]).len(), 1);
    }

    #[test]
    fn a_link_and_a_test_that_are_not_there_are_found() {
        let text = "[a](b.md) [c](https://example.com) [d](#e) `no_such_test_here` `short_name`";
        assert_eq!(
            broken_links("docs/a.md", text, |_| false),
            ["docs/a.md: the link to `b.md` leads nowhere"]
        );
        assert!(broken_links("docs/a.md", text, |path| path == Path::new("docs/b.md")).is_empty());
        assert_eq!(unknown_tests("a.md", text, &BTreeSet::new()).len(), 1);
        let code = "// fn no_such_test_here\nfn no_such_test_here() {}\n\
                    #[tokio::test(flavor = \"a\")]\nasync fn one_that_is_there() {}\n\
                    stories! {\n async fn a_story_is_one(world: &World) {\n}\n}\n\
                    fn a_part_of_stories(world: &World) -> u8 {}\nconst A: &str = \"fn b\";";
        assert_eq!(tests_in(code), ["one_that_is_there", "a_story_is_one"]);
        assert_eq!(unknown_tests("a.md", text, &tests_in(code).into_iter().collect()).len(), 1);
    }

    #[test]
    fn a_circle_of_files_is_found() {
        let files = [
            ("a".to_owned(), "use crate::{Error, b::{self, C}};"),
            ("b".to_owned(), "fn f() { crate::c::d::e(1, 2); }"),
            ("c".to_owned(), "pub use other_crate::a::B;"),
            ("c::d".to_owned(), "pub(crate) use crate::a::B;"),
            ("e".to_owned(), "use crate::a; use other_crate::e::F; // crate::f"),
            ("c::f".to_owned(), "use super::{Error, g::H};"),
            ("c::g".to_owned(), "fn i(c: &crate::c::f::I) -> super::super::e::E {}"),
            ("h".to_owned(), "fn j() -> Option<super::i::K> {}"),
            ("i".to_owned(), "fn k() -> Result<crate::h::L, ()> {}"),
            ("m".to_owned(), "use api::{m::P, n::Q}; fn r() { n::s(); self::o::t() }"),
            ("m::n".to_owned(), "fn s() { use super::o as u; crate::v::W }"),
            ("m::o".to_owned(), "use super::{X, n as y};"),
            ("v".to_owned(), "use crate::{\n    e::F,\n    m::{X, o::t},\n};"),
            ("w".to_owned(), "mod z; pub(crate) use z::A;"),
            ("w::z".to_owned(), "use super::B;"),
        ];
        let found = circles(&files);
        let known = [&["a", "b", "c::d"][..], &["c::f", "c::g"], &["h", "i"]];
        let known = known.into_iter().chain([&["m", "m::n", "m::o", "v"][..]]);
        let circle = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        assert_eq!(found, known.map(circle).collect());
        let found = circles(&files[9..12]);
        assert_eq!(found, [["m::n", "m::o"].map(str::to_owned).into()].into(), "one folder's");
    }

    #[test]
    fn an_arrow_that_rises_is_found() {
        let files = [
            ("top".to_owned(), "use crate::{low::A, middle};"),
            ("middle::b".to_owned(), "use super::c::D; use crate::low::{E, f};"),
            (
                "low".to_owned(),
                "fn g() -> crate::middle::c::H { crate::top::i(); super::top::j() }",
            ),
            ("aside".to_owned(), "use crate::Error;"),
        ];
        assert_eq!(against_the_order(&["top", "middle", "low"], &files).len(), 3);
        assert!(against_the_order(&["top", "middle", "low"], &files[..2]).is_empty());
    }
}
