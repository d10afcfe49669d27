//! Releases that are not current any more and that nodes keep, since only they can do some jobs.

use api::{Empty, releases::KeepReleases};
use chassis::Call;

use crate::{Error, State, store};

/// So many of a service.
const MOST: usize = 100;

/// Those that were never published are passed over: whoever asks remembers more than this database.
pub(crate) async fn keep_releases(cx: Call<State>, op: KeepReleases) -> Result<Empty, Error> {
    if op.releases.len() > MOST {
        return Err(Error::TooManyKept);
    }
    let mut write = cx.begin().await?;
    // It is told again and again: what is so already has nobody plan anew.
    if store::keep_releases(write.tx(), &op.service, &op.releases).await? {
        write.commit().await?;
        cx.state().planning.something_changed();
    }
    Ok(Empty {})
}
