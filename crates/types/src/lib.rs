//! What an id, a name, an amount and a moment are.
//!
//! Every other crate stands on this one, so it knows nothing of them: no IO, no async, no
//! component. A type here with an invariant has private fields and a fallible constructor; what
//! exists is therefore valid.

mod cron;
mod digest;
mod id;
mod money;
mod name;
mod page;
mod secret;
mod site;
mod text;
mod time;
mod who;

pub use cron::{Cron, CronError, TimeZone};
pub use digest::{Digest, DigestError};
pub use id::{
    AccountId, BillId, GrantId, Id, IdError, InstanceId, JobId, Kind, NodeId, OrderId, ReplicaId,
    RequestId, SessionId, UserId,
};
pub use money::{Amount, Currency, Money, MoneyError};
pub use name::{Host, Name, NameError};
pub use page::{Cursor, Page};
pub use secret::Secret;
pub use site::Site;
pub use time::{Clock, ManualClock, Period, SystemClock, TimeError, Timestamp};
pub use who::{Grantable, Permission, Principal, Resource, WhoError};
