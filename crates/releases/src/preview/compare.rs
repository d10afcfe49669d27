//! What two manifests differ in, as far as it concerns others than their author. Pure.

use std::collections::{BTreeMap, BTreeSet};

use api::{
    jobs::{JobDefinition, PutJobs, SETUP_CLASS},
    manifest::{Access, Manifest, Pattern},
    releases::{Accepted, Change, MeterChange, Passage, ROUTES_MAX, Reach, RouteChange},
};
use types::Digest;

/// What is in one of two maps only, and what is there otherwise than in the other, in the order of
/// their names: each with what it was and what it will be.
pub(super) fn changes<'m, T>(
    from: &'m BTreeMap<String, T>,
    to: &'m BTreeMap<String, T>,
    is_same: impl Fn(&T, &T) -> bool,
) -> Vec<(Change, &'m str, [Option<&'m T>; 2])> {
    let names: BTreeSet<&String> = from.keys().chain(to.keys()).collect();
    let change = |name: &'m String| {
        let both = [from.get(name), to.get(name)];
        let change = match both {
            [Some(before), Some(after)] if is_same(before, after) => return None,
            [Some(_), Some(_)] => Change::Changed,
            [Some(_), None] => Change::Dropped,
            [None, _] => Change::Added,
        };
        Some((change, name.as_str(), both))
    };
    names.into_iter().filter_map(change).collect()
}

/// The meters that come or go, or count otherwise.
pub(super) fn meters(from: &Manifest, to: &Manifest) -> Vec<MeterChange> {
    let what = |meter: &api::manifest::Meter| (meter.count, meter.pattern.clone(), meter.status);
    let all = changes(&from.meters, &to.meters, |before, after| what(before) == what(after));
    let change = |(change, name, both): (Change, &str, [Option<&api::manifest::Meter>; 2])| {
        let title = both.into_iter().flatten().next_back().map(|meter| meter.title.clone());
        MeterChange { change, meter: name.to_owned(), title: title.unwrap_or_default() }
    };
    all.into_iter().map(change).collect()
}

/// What a job is before and after; nothing where there is none.
pub(super) type JobPair = [Option<Accepted>; 2];

/// The jobs of which other versions are queued or done, those of set-ups aside.
pub(super) fn jobs(from: &Manifest, to: &Manifest) -> Vec<(Change, String, JobPair)> {
    let (from, to) = (definitions(from), definitions(to));
    let all = changes(&from, &to, |before, after| before == after);
    let pair = |both: [Option<&Accepted>; 2]| both.map(Option::<&_>::copied);
    all.into_iter().map(|(change, name, both)| (change, name.to_owned(), pair(both))).collect()
}

fn definitions(manifest: &Manifest) -> BTreeMap<String, Accepted> {
    let service = manifest.service.name.clone();
    let all = PutJobs::of(service, Digest::of(b""), manifest).jobs.into_iter();
    let all = all.filter(|(_, job)| job.class != SETUP_CLASS);
    let accepted = |JobDefinition { version, oldest, newest, .. }: JobDefinition| Accepted {
        version,
        oldest,
        newest,
    };
    all.map(|(name, job)| (name, accepted(job))).collect()
}

/// The requests that are let through otherwise than before, and how many there are beside those that
/// are named. Each pattern of either manifest is asked about by requests that it means; which of two
/// routes decides about those that both mean, is decided as the gateway does.
pub(super) fn routes(from: &Manifest, to: &Manifest) -> (Vec<RouteChange>, u64) {
    let of = |manifest: &Manifest| {
        let routes = manifest.routes.iter().map(|route| route.pattern.clone());
        let modules = manifest.modules.values().flat_map(|module| module.routes.clone());
        routes.chain(modules).collect::<Vec<_>>()
    };
    let mut changes = Vec::new();
    let mut seen = BTreeSet::new();
    for pattern in of(from).into_iter().chain(of(to)) {
        if seen.insert(pattern.to_string()) {
            changes.extend(route(from, to, &pattern));
        }
    }
    let more = changes.len().saturating_sub(ROUTES_MAX) as u64;
    changes.truncate(ROUTES_MAX);
    (changes, more)
}

fn route(from: &Manifest, to: &Manifest, pattern: &Pattern) -> Option<RouteChange> {
    let asked = requests(pattern);
    let mut differing = asked.into_iter().filter_map(|(method, path)| {
        let (before, after) = (reach(from, method, &path), reach(to, method, &path));
        (before != after).then_some((before, after))
    });
    let (before, after) = differing.next()?;
    let passage = passage(&before, &after);
    Some(RouteChange { passage, requests: pattern.to_string(), before, after })
}

fn passage(before: &Reach, after: &Reach) -> Passage {
    let is_within = |few: &Reach, many: &Reach| {
        few.permissions.is_subset(&many.permissions) && few.modules.is_subset(&many.modules)
    };
    match (before.refused, after.refused) {
        (true, false) => Passage::Opens,
        (false, true) => Passage::Closes,
        _ if is_within(after, before) => Passage::Opens,
        _ if is_within(before, after) => Passage::Closes,
        _ => Passage::Changes,
    }
}

/// What a request needs.
fn reach(manifest: &Manifest, method: &str, path: &str) -> Reach {
    let Some(deciding) = manifest.deciding(method, path) else {
        return Reach { refused: true, ..Reach::default() };
    };
    let permission = |place: usize| match &manifest.routes.get(place)?.access {
        Access::Public => None,
        Access::Permission(permission) => Some(permission.clone()),
    };
    let modules = manifest.modules_of(path).map(|(name, _)| name.to_owned());
    Reach {
        refused: false,
        permissions: deciding.into_iter().filter_map(permission).collect(),
        modules: modules.collect(),
    }
}

/// A word that no route names.
const ANY: &str = "~any~";

/// Requests that a pattern means: for any method two that are treated alike by most.
fn requests(pattern: &Pattern) -> Vec<(&str, String)> {
    let text = pattern.to_string();
    let path = text.split_once(' ').map_or(text.as_str(), |(_, path)| path);
    let filled = path.replace('*', ANY);
    let mut paths = vec![filled.clone()];
    if path.ends_with("/*") {
        paths.push(format!("{filled}/{ANY}"));
    }
    if path == "/*" {
        paths.push("/".to_owned());
    }
    let methods = pattern.method().map_or_else(|| vec!["GET", "POST"], |method| vec![method]);
    let asked = methods.into_iter().flat_map(|method| {
        paths.iter().map(move |path| (method, path.clone())).collect::<Vec<_>>()
    });
    asked.collect()
}

#[cfg(test)]
mod tests {
    use api::manifest::normalise;
    use proptest::prelude::*;

    use super::*;

    fn manifest(more: &str) -> Manifest {
        let text = format!(
            "[service]\nname = \"forum\"\ntitle = \"Forum\"\n[run]\ncommand = [\"./serve\"]\n\
             [sizes.small]\ncpu = 0.5\nmemory = \"256MiB\"\n\
             [permissions]\npost = {{ title = \"Post\", level = \"write\" }}\n\
             read = {{ title = \"Read\", level = \"read\" }}\n{more}"
        );
        Manifest::parse("mandate.toml", &text).unwrap()
    }

    fn route_to(requests: &str, access: &str) -> String {
        format!("[[routes]]\nmatch = \"{requests}\"\n{access}\n")
    }

    const PUBLIC: &str = "access = \"public\"";
    const POST: &str = "permission = \"post\"";
    const READ: &str = "permission = \"read\"";

    fn told(from: &str, to: &str) -> Vec<(Passage, String)> {
        let (changes, more) = routes(&manifest(from), &manifest(to));
        assert_eq!(more, 0);
        changes.into_iter().map(|change| (change.passage, change.requests)).collect()
    }

    #[test]
    fn routes_open_close_or_are_for_others() {
        let (public, closed) = (route_to("GET /a", PUBLIC), route_to("GET /a", POST));
        let a = || "GET /a".to_owned();
        assert_eq!(told(&public, &closed), [(Passage::Closes, a())]);
        assert_eq!(told(&closed, &public), [(Passage::Opens, a())]);
        assert_eq!(told("", &closed), [(Passage::Opens, a())], "nobody might before");
        assert_eq!(told(&closed, ""), [(Passage::Closes, a())]);
        assert_eq!(told(&closed, &route_to("GET /a", READ)), [(Passage::Changes, a())]);
    }

    #[test]
    fn the_route_that_comes_first_decides() {
        let all = route_to("GET /*", PUBLIC);
        let before = format!("{}{all}", route_to("GET /admin", POST));
        // The same routes the other way round: the first one lets everybody through.
        let after = format!("{all}{}", route_to("GET /admin", POST));
        assert_eq!(told(&before, &after), [(Passage::Opens, "GET /admin".to_owned())]);
        assert_eq!(told(&before, &before), []);
        // One that never decides changes nothing.
        assert_eq!(told(&all, &format!("{all}{}", route_to("GET /x", POST))), []);
    }

    #[test]
    fn what_a_module_had_is_open_to_all_without_it() {
        let module = "[modules.polls]\ntitle = \"Polls\"\nroutes = [\"/polls\", \"/polls/*\"]\n";
        let all = route_to("* /*", PUBLIC);
        let opens = told(&format!("{module}{all}"), &all);
        let polls = |path: &str| (Passage::Opens, path.to_owned());
        assert_eq!(opens, [polls("/polls"), polls("/polls/*")]);
        let closes = told(&all, &format!("{module}{all}"));
        assert!(closes.iter().all(|(passage, _)| *passage == Passage::Closes));
        assert_eq!(closes.len(), 2);
    }

    #[test]
    fn one_that_is_spelled_otherwise_is_found_too() {
        let all = route_to("GET /*", PUBLIC);
        let closed = format!("{}{all}", route_to("GET /Admin", POST));
        let lower = format!("{}{all}", route_to("GET /admin", POST));
        assert_eq!(told(&closed, &lower), [], "both are meant however they are spelled");
    }

    #[test]
    fn jobs_and_meters_that_change_are_told() {
        let job = |more: &str| format!("[jobs.digest]\ncommand = [\"./digest\"]\n{more}");
        let both = |from: &str, to: &str| jobs(&manifest(from), &manifest(to));
        let accepted = |version, oldest, newest| Some(Accepted { version, oldest, newest });
        let (one, two) = (job(""), job("version = 2\n"));
        let digest = || "digest".to_owned();
        let changed = [accepted(1, 1, 1), accepted(2, 2, 2)];
        assert_eq!(both(&one, &two), [(Change::Changed, digest(), changed)]);
        assert_eq!(both(&one, ""), [(Change::Dropped, digest(), [accepted(1, 1, 1), None])]);
        assert_eq!(both("", &one), [(Change::Added, digest(), [None, accepted(1, 1, 1)])]);
        assert_eq!(both(&one, &job("timeout = \"5m\"\n")), [], "nobody else has to do with that");
        let meter = |count: &str| format!("[meters.use]\ncount = \"{count}\"\n");
        let told = meters(&manifest(&meter("requests")), &manifest(&meter("bytes_out")));
        assert_eq!(told[0].change, Change::Changed);
        assert_eq!(meters(&manifest(&meter("requests")), &manifest("")).len(), 1);
        let same = manifest(&meter("requests"));
        assert_eq!(meters(&same, &same), []);
    }

    fn any_route() -> impl Strategy<Value = String> {
        let method = prop::sample::select(vec!["GET", "POST", "*"]);
        let path = prop::sample::select(vec!["/", "/*", "/a", "/a/*", "/a/*/c", "/*/b", "/A"]);
        let access = prop::sample::select(vec![PUBLIC, POST, READ]);
        (method, path, access)
            .prop_map(|(method, path, access)| route_to(&format!("{method} {path}"), access))
    }

    fn some_routes() -> impl Strategy<Value = String> {
        prop::collection::vec(any_route(), 0..5).prop_map(|routes| routes.concat())
    }

    proptest! {
        /// What a release opens, the way back closes, and nothing differs from itself.
        #[test]
        fn the_way_back_is_the_other_way_round(from in some_routes(), to in some_routes()) {
            let (from, to) = (manifest(&from), manifest(&to));
            prop_assert_eq!(routes(&from, &from), (vec![], 0));
            let by_name = |changes: Vec<RouteChange>| -> BTreeMap<String, RouteChange> {
                changes.into_iter().map(|it| (it.requests.clone(), it)).collect()
            };
            let (there, back) = (by_name(routes(&from, &to).0), by_name(routes(&to, &from).0));
            prop_assert_eq!(there.keys().collect::<Vec<_>>(), back.keys().collect::<Vec<_>>());
            for (name, there) in &there {
                let back = &back[name];
                prop_assert_eq!((&there.before, &there.after), (&back.after, &back.before));
                let other = match there.passage {
                    Passage::Opens => Passage::Closes,
                    Passage::Closes => Passage::Opens,
                    Passage::Changes => Passage::Changes,
                };
                prop_assert_eq!(back.passage, other);
            }
        }

        /// No request that is asked about is one that its pattern does not mean.
        #[test]
        fn a_pattern_is_asked_about_by_what_it_means(routes in some_routes()) {
            for route in manifest(&routes).routes {
                for (method, path) in requests(&route.pattern) {
                    prop_assert_eq!(normalise(&path), Some(path.clone()));
                    prop_assert!(route.pattern.matches(method, &path), "{method} {path}");
                }
            }
        }
    }
}
