//! Rollouts as they are remembered: what was agreed to, and who did what to them when.

use api::releases::{Act, Did, Preview};
use chassis::{Room, Write};
use types::{Digest, Name};

use crate::{
    Error, State, preview,
    store::{self, Agreed, Stored},
};

/// What whoever promotes a release agrees to, in place of which release; that is absent if it is the
/// service's first.
pub(crate) struct Promotion {
    pub(crate) from: Option<Digest>,
    agreed: Agreed,
}

impl Promotion {
    /// What there is to agree to; an error if something would be lost and that is not accepted.
    ///
    /// The way back brings back what was, and is needed most when something does not work: it loses
    /// what the release adds that is left, needs nobody's consent, and is not held up by somebody who
    /// cannot be asked.
    pub(crate) async fn with(
        room: &Room<State>,
        to: &Stored,
        accepts_loss: bool,
    ) -> Result<Self, Error> {
        let service = &to.release.service;
        let from = store::current_of(room.db(), service).await?.map(|(current, _)| current);
        let Some(current) = from.as_ref().filter(|from| **from != to.release.digest) else {
            return Ok(Self { from, agreed: Agreed { accepts_loss, ..Agreed::default() } });
        };
        let is_way_back = is_way_back(room, service, &to.release.digest).await?;
        let preview = match preview::preview(room, current, to).await {
            Ok(preview) => Some(preview),
            Err(problem) if is_way_back => {
                tracing::warn!(%problem, "a way back is begun without its preview");
                None
            }
            Err(problem) => return Err(problem),
        };
        let losses = preview.as_ref().map(Preview::losses).unwrap_or_default();
        if !losses.is_empty() && !accepts_loss && !is_way_back {
            return Err(Error::LosesSomething(losses));
        }
        Ok(Self { from, agreed: Agreed { preview, accepts_loss, is_way_back } })
    }

    /// Writes down what was agreed to, and who began the rollout.
    pub(crate) async fn keep(
        self,
        write: &mut Write<State>,
        service: &Name,
        number: u64,
    ) -> Result<(), Error> {
        store::put_agreed(write.tx(), (service, number), &self.agreed).await?;
        note(write, service, number, Did::Promoted).await
    }
}

/// Whether it is the release from which the last rollout led. From a way back there is none: going
/// there again is what somebody had agreed to before.
async fn is_way_back(room: &Room<State>, service: &Name, to: &Digest) -> Result<bool, Error> {
    let last = store::last_rollout(room.db(), service).await?;
    let Some(last) = last.filter(|last| last.from.as_ref() == Some(to)) else { return Ok(false) };
    Ok(!store::agreed(room.db(), (service, last.number)).await?.is_way_back)
}

/// Writes down that whoever asks did something to a rollout.
pub(crate) async fn note(
    write: &mut Write<State>,
    service: &Name,
    number: u64,
    did: Did,
) -> Result<(), Error> {
    let act = Act { at: write.now(), by: write.caller.principal.clone(), did };
    Ok(store::insert_act(write.tx(), (service, number), &act).await?)
}
