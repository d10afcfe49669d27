//! Asks new replicas whether they answer from here, and says which do. A node's word for it is not
//! enough: this machine may not reach that one.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use api::{
    Client,
    manifest::Check,
    releases::{PutReached, REACHED_MAX},
};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use http::{HeaderValue, Request, header, uri};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep_until, timeout},
};
use types::ReplicaId;

use crate::{
    bodies::Lent,
    copies::{Home, New},
    front::Front,
    replicas::Replica,
};

/// How long an answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);
/// So many are asked at the same time.
const AT_ONCE: usize = 32;
/// What has not answered is asked again after so long, and what has is named again after so long, for
/// whoever has forgotten it.
const AGAIN: Duration = Duration::from_secs(1);

/// How a new replica was found when it was asked last.
enum Found {
    Asked,
    Answers,
    Silent(Instant),
}

/// Asks replicas that are not proven, and says which answer, for as long as it is polled.
pub(crate) async fn tell(front: &Front, client: Client, gateway: String) {
    let mut found: HashMap<ReplicaId, (Arc<Replica>, Found)> = HashMap::new();
    let mut asking = FuturesUnordered::new();
    let mut say_at = Instant::now();
    loop {
        let changed = front.fleet.changed();
        tokio::pin!(changed);
        changed.as_mut().enable();
        let unproven = front.fleet.unproven();
        found.retain(|id, (it, _)| {
            unproven.get(id).is_some_and(|new| Arc::ptr_eq(&new.replica, it))
        });
        for (id, new) in unproven.iter() {
            let is_due = match found.get(id) {
                None => true,
                Some((_, Found::Silent(since))) => since.elapsed() >= AGAIN,
                Some((_, Found::Asked | Found::Answers)) => false,
            };
            if is_due && asking.len() < AT_ONCE {
                found.insert(*id, (Arc::clone(&new.replica), Found::Asked));
                asking.push(ask(front, *id, new.clone()));
            }
        }
        if say_at <= Instant::now() {
            say(&client, &gateway, &found).await;
            say_at = Instant::now() + AGAIN;
        }
        tokio::select! {
            () = changed => {}
            Some((id, replica, answered)) = asking.next() => {
                if let Some(it) = found.get_mut(&id).filter(|it| Arc::ptr_eq(&it.0, &replica)) {
                    it.1 = if answered { Found::Answers } else { Found::Silent(Instant::now()) };
                    if answered {
                        say_at = Instant::now();
                    }
                }
            }
            () = sleep_until(say_at), if !unproven.is_empty() => {}
        }
    }
}

async fn say(client: &Client, gateway: &str, found: &HashMap<ReplicaId, (Arc<Replica>, Found)>) {
    let answer = found.iter().filter(|(_, (_, found))| matches!(found, Found::Answers));
    let answer: Vec<_> = answer.map(|(id, (it, _))| (*id, it.authority.to_string())).collect();
    for some in answer.chunks(REACHED_MAX) {
        let replicas: BTreeMap<_, _> = some.iter().cloned().collect();
        let put = PutReached { gateway: gateway.to_owned(), replicas };
        if let Err(problem) = client.call(put).await {
            tracing::warn!(%problem, "nobody could be told which replicas answer");
            return;
        }
    }
}

async fn ask(front: &Front, id: ReplicaId, new: New) -> (ReplicaId, Arc<Replica>, bool) {
    let New { home, replica } = new;
    let asked = timeout(ANSWER_TIME_MAX, answers(front, &home, &replica)).await;
    let trouble = asked.unwrap_or_else(|_| Err("nothing in time".to_owned())).err();
    if let Some(cause) = &trouble {
        tracing::warn!(replica = %id, at = %replica.authority, cause, "a new replica does not answer");
    }
    (id, replica, trouble.is_none())
}

/// Asks what its node asks it too. Where that is not a request, it is to take a connection.
async fn answers(
    front: &Front,
    (release, instance, process): &Home,
    replica: &Replica,
) -> Result<(), String> {
    let manifest = front.fleet.manifest(release).ok_or("its release is not known yet")?;
    let check = manifest.process(process).and_then(|process| process.health.clone());
    let (path, host) = match check {
        Some(Check::Path(path)) => {
            let host = instance.and_then(|instance| front.routes.host_of(instance));
            let port = front.site.port_suffix();
            (path, host.map_or_else(|| "localhost".to_owned(), |host| format!("{host}{port}")))
        }
        Some(Check::Request { http, host }) => (http, host),
        Some(Check::Connection { .. } | Check::Command { .. }) | None => {
            let connected = TcpStream::connect(replica.authority.as_str()).await;
            return connected.map(drop).map_err(|cause| cause.to_string());
        }
    };
    let request = visit(front, replica, path, &host).map_err(|cause| cause.to_string())?;
    let answer = front.replicas.ask(request).await.map_err(|cause| cause.to_string())?;
    if answer.status().is_success() {
        Ok(())
    } else {
        Err(format!("the answer is {}", answer.status()))
    }
}

fn visit(
    front: &Front,
    replica: &Replica,
    path: String,
    host: &str,
) -> Result<Request<Lent>, http::Error> {
    let uri = uri::Builder::new().scheme("http").authority(replica.authority.clone());
    let host = HeaderValue::from_str(host)?;
    Request::get(uri.path_and_query(path).build()?)
        .header("x-forwarded-proto", front.site.scheme())
        .header("x-forwarded-host", host.clone())
        .header(header::HOST, host)
        .body(Lent::nothing())
}
