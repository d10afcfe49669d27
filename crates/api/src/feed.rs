//! A component's change feed: a map of documents that others hold a copy of.
//!
//! Each change carries a revision, one higher than the one before, written in the transaction of
//! the change. A follower asks for what came after the revision it has applied; by asking it
//! acknowledges that revision and keeps its lease. A follower that is new, or that was away for
//! longer than the log reaches back, is told to begin with a snapshot.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

/// What a feed carries: a JSON document with a name that is unique within its topic.
pub trait Document: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The component whose feed it is in.
    const COMPONENT: &'static str;
    /// What it is, `grant`.
    const TOPIC: &'static str;
    /// Its name within the topic.
    fn key(&self) -> String;
}

/// One document was put, or removed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// The number of this change; there are no gaps.
    pub revision: u64,
    /// What it is.
    pub topic: String,
    /// Its name within the topic.
    pub key: String,
    /// The whole document; absent if it was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
}

/// The answer to a follower.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Changes {
    /// What came after the revision that was applied, in order.
    pub changes: Vec<Change>,
    /// The newest revision there is.
    pub head: u64,
    /// The log does not reach back to the revision that was applied: begin with a snapshot.
    pub reset: bool,
}

/// A part of the whole map.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Snapshot {
    /// The revision that the first page was read at. Follow from there.
    pub revision: u64,
    /// Documents, each with the revision that put it.
    pub documents: Vec<Change>,
    /// Where the next page begins; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The three questions that every feed answers.
pub trait Feed: 'static {
    /// Follows, acknowledges and keeps the lease.
    type Follow: crate::Operation<Reply = Changes>;
    /// Reads the whole map, a page at a time.
    type Read: crate::Operation<Reply = Snapshot>;
    /// The component's name.
    const COMPONENT: &'static str;

    /// A question to follow.
    fn follow(follower: String, applied: u64, lease_seconds: u32, wait_millis: u32)
    -> Self::Follow;
    /// What a follower asked: its name, applied revision, lease and patience.
    fn asked(operation: &Self::Follow) -> (&str, u64, u32, u32);
    /// A question for a page of the snapshot.
    fn read(after: Option<String>) -> Self::Read;
    /// Which page was asked for.
    fn page(operation: &Self::Read) -> Option<&str>;
}

/// The feed's operations and marker in a component's module.
macro_rules! feed {
    ($marker:ident, $component:literal) => {
        /// Asks for the changes after `applied`, which acknowledges that revision.
        #[derive(
            Debug, Clone, ::serde::Serialize, ::serde::Deserialize, ::schemars::JsonSchema,
        )]
        pub struct FollowChanges {
            /// The follower's name; one name is one copy.
            pub follower: String,
            /// The revision that its copy has applied; 0 before the first snapshot.
            pub applied: u64,
            /// For how long its copy counts as alive without asking again.
            pub lease_seconds: u32,
            /// How long to wait for a change before answering with none.
            pub wait_millis: u32,
        }

        /// Asks for a page of the whole map.
        #[derive(
            Debug, Clone, ::serde::Serialize, ::serde::Deserialize, ::schemars::JsonSchema,
        )]
        pub struct ReadSnapshot {
            /// The `next` of the page before.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub after: Option<String>,
        }

        #[doc = concat!("The change feed of ", $component, ".")]
        #[derive(Debug, Clone, Copy)]
        pub enum $marker {}

        impl $crate::feed::Feed for $marker {
            type Follow = FollowChanges;
            type Read = ReadSnapshot;
            const COMPONENT: &'static str = $component;
            fn follow(
                follower: String,
                applied: u64,
                lease_seconds: u32,
                wait_millis: u32,
            ) -> FollowChanges {
                FollowChanges { follower, applied, lease_seconds, wait_millis }
            }
            fn asked(operation: &FollowChanges) -> (&str, u64, u32, u32) {
                (
                    &operation.follower,
                    operation.applied,
                    operation.lease_seconds,
                    operation.wait_millis,
                )
            }
            fn read(after: Option<String>) -> ReadSnapshot {
                ReadSnapshot { after }
            }
            fn page(operation: &ReadSnapshot) -> Option<&str> {
                operation.after.as_deref()
            }
        }
    };
}
