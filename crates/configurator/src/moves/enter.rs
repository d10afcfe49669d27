//! How it is written down that an instance is at another step of its way.

use std::time::Duration;

use chassis::{Room, Write};
use types::{JobId, Timestamp};

use crate::{
    Error, State,
    manifests::manifest,
    model::{instance::route, moves::Step},
    store::{self, Move, OnItsWay, Stored},
};

/// So long a database is kept that an instance has moved from.
const KEPT: Duration = Duration::from_hours(24);
/// What visitors are told of a database that `migrate` has failed to change, and that has no copy.
const SPOILT: &str = "its database is mended, since a change of it has failed";
/// What is said of it to whoever can do something.
const NO_WAY_BACK: &str = "Its database has no copy, so it is closed for maintenance: let the rollout go \
    on to try again, or mend the database and open it by `mandate instance maintenance HOST --end`";

/// What must be known of an instance that is on its way.
pub(super) fn on_its_way(it: &Move) -> OnItsWay {
    OnItsWay { to: it.to.clone(), needs: it.needs, step: it.step, copy: it.copy }
}

/// Writes down that an instance is at another step: in one transaction with whatever is different
/// from now on.
pub(super) async fn enter(
    room: &Room<State>,
    it: Move,
    step: Step,
    problem: Option<String>,
) -> Result<(), Error> {
    if step == Step::Hold {
        room.state().quiet.begin(it.instance);
    }
    let mut write = room.begin().await?;
    let Some(known) = store::instance(write.tx(), it.instance).await? else { return Ok(()) };
    let shown = route(&known);
    let (it, mut known) = leave(&mut write, (it, known), step).await?;
    let problem = problem.map(|why| {
        if !it.needs.is_in_place(it.step) {
            return why;
        }
        // Whoever has closed it before says when it is open again.
        known.maintenance.get_or_insert_with(|| SPOILT.to_owned());
        format!("{why}. {NO_WAY_BACK}")
    });
    let it = entered(it, (step, write.now()), problem);
    if step == Step::Moved {
        known = arrive(&mut write, &it, known).await?;
    }
    known.moving = (!step.has_ended()).then(|| on_its_way(&it));
    store::put_step(write.tx(), &it).await?;
    store::update_instance(write.tx(), &known).await?;
    let now = route(&known);
    if now != shown {
        write.put(&now).await?;
    }
    write.commit().await?;
    tracing::debug!(instance = %it.instance, ?step, "an instance is at another step");
    if step.has_ended() {
        room.state().quiet.end(it.instance);
        let (instance, from, to) = (it.instance, it.from.short(), it.to.short());
        match it.problem {
            None => tracing::info!(%instance, from, to, "an instance has moved"),
            Some(why) => tracing::warn!(%instance, from, to, why, "an instance was not moved"),
        }
    }
    Ok(())
}

/// A copy that is not wanted any more is removed later, since nobody is to be kept out for as long as
/// that cannot be done. What is begun again has another one: whatever still runs has the one before.
async fn leave(
    write: &mut Write<State>,
    (it, known): (Move, Stored),
    step: Step,
) -> Result<(Move, Stored), Error> {
    let is_undone = it.step == Step::Undo && step != Step::Undo;
    let begins_again = step == Step::Copy && matches!(it.step, Step::Migrate | Step::Check);
    if (is_undone || begins_again) && it.copy != known.copy.0 {
        let now = write.now();
        store::insert_former(write.tx(), it.instance, it.copy, now).await?;
    }
    if !begins_again {
        return Ok((it, known));
    }
    let copy = known.copy.1 + 1;
    let it = Move { copy, lost: it.lost + 1, ..it };
    Ok((it, Stored { copy: (known.copy.0, copy), ..known }))
}

/// It is on the release now, with the copy that was migrated.
async fn arrive(write: &mut Write<State>, it: &Move, known: Stored) -> Result<Stored, Error> {
    if it.needs.closes && it.copy != known.copy.0 {
        let forget = write.now().plus(KEPT);
        store::insert_former(write.tx(), it.instance, known.copy.0, forget).await?;
    }
    let mut shape = known.schema;
    if !it.needs.beside {
        let schema = manifest(write.tx(), &known.service, &it.to).await?.schema();
        let is_new = it.needs.closes || shape.0 == 0;
        shape = (schema, if is_new { schema } else { shape.1 });
    }
    Ok(Stored {
        schema: shape,
        copy: (it.copy, known.copy.1),
        release: it.to.clone(),
        maintenance: known.maintenance.filter(|why| why != SPOILT),
        ..known
    })
}

fn entered(it: Move, (step, now): (Step, Timestamp), problem: Option<String>) -> Move {
    let is_job = matches!(step, Step::Migrate | Step::Check);
    let on_way_back = matches!(step, Step::Undo | Step::Restart | Step::Failed);
    Move {
        step,
        entered: now,
        job: is_job.then(|| JobId::new(now)).or(it.job.filter(|_| step == Step::Undo)),
        job_state: None,
        job_lost: false,
        // The first reason counts.
        problem: problem.or(it.problem.filter(|_| on_way_back)),
        held: it.held.or((step == Step::Hold).then_some(now)),
        ended: step.has_ended().then_some(now),
        ..it
    }
}
