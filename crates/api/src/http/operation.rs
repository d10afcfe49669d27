//! An operation is a struct with a name; the `operations!` table gives it the rest.

use http::Method;
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use types::Resource;

/// Something that can be asked of a component.
pub trait Operation: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// Who answers, `billing`.
    const COMPONENT: &'static str;
    /// The permission that it needs, `billing.getBill`.
    const PERMISSION: &'static str;
    /// The method.
    const METHOD: Method;
    /// The path below the component, `/v1/accounts/{account}/bill`. Each name in braces is a
    /// field; the other fields are the query (GET, DELETE) or the JSON body.
    const PATH: &'static str;
    /// Who may ask at all, given a grant where one is needed.
    const ASKERS: &'static [Asker];
    /// What is answered.
    type Reply: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static;

    /// What it acts on.
    fn resource(&self) -> Resource;
}

/// Whom an operation is meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Asker {
    /// Anybody, also without a token.
    Public,
    /// Anybody with a valid token.
    Anyone,
    /// A user who was granted `owner`, or this permission, on the resource.
    Customer,
    /// A user who was granted `operator`, or this permission.
    Operator,
    /// The agent of a node.
    Agent,
    /// A published service, about itself.
    Service,
    /// The processes of an instance, about it.
    Instance,
    /// Any component of the platform.
    Platform,
    /// A component of the platform, by name.
    Component(&'static str),
}

impl Asker {
    /// The groups of actions that this asker's standing rules permit.
    pub fn groups(self) -> Vec<String> {
        let by = |name: &str| format!("by:{name}");
        match self {
            Self::Public => vec![by("public")],
            Self::Anyone => vec![by("anyone")],
            Self::Customer => vec!["role:owner".into()],
            Self::Operator => vec!["role:operator".into()],
            Self::Agent => vec![by("agent")],
            Self::Service => vec![by("service")],
            Self::Instance => vec![by("instance")],
            Self::Platform => crate::PRINCIPALS.iter().map(|name| by(name)).collect(),
            Self::Component(name) => vec![by(name)],
        }
    }
}

/// An operation as data: for routes, documents, the catalogue and tests.
#[derive(Debug, Clone, Copy)]
pub struct Listing {
    /// Who answers.
    pub component: &'static str,
    /// The permission, `billing.getBill`.
    pub permission: &'static str,
    /// The method as text.
    pub method: &'static str,
    /// The path below the component.
    pub path: &'static str,
    /// The kind of resource, `account`.
    pub on: &'static str,
    /// Whom it is meant for.
    pub askers: &'static [Asker],
    /// What it does, in a sentence or two.
    pub summary: &'static str,
    /// The schema of its fields.
    pub fields: fn(&mut SchemaGenerator) -> schemars::Schema,
    /// The schema of its reply.
    pub reply: fn(&mut SchemaGenerator) -> schemars::Schema,
}

/// The reply of an operation that has nothing to say but that it was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Empty {}

/// `billing.GetBill` to `billing.getBill`, at compile time.
pub const fn lower_first_after<const N: usize>(text: &str, dot: usize) -> [u8; N] {
    let bytes = text.as_bytes();
    let mut lowered = [0; N];
    let mut place = 0;
    while place < N {
        lowered[place] =
            if place == dot + 1 { bytes[place].to_ascii_lowercase() } else { bytes[place] };
        place += 1;
    }
    lowered
}

/// The contents page of a component. See the crate's documentation.
///
/// `-> Reply` names what is answered. `lists Item` answers with a page of them instead, and makes
/// the struct of the operation: what its resource is in, which page, and `only […]` the fields by
/// which the list can be narrowed.
macro_rules! operations {
    ($component:literal:
        $($(#[doc = $doc:literal])+
        $name:ident $method:ident $path:literal on $on:ident by [$($asker:ident),+]
        $(lists $item:ident $(only [$($filter:ident: $kind:ty),+])?)? $(-> $reply:ty)?;)+
    ) => {
        $(operations! { @list [$($item)?] $on $name [$($doc)+] [$($($($filter: $kind,)+)?)?] })+

        $(impl $crate::http::Operation for $name {
            const COMPONENT: &'static str = $component;
            const PERMISSION: &'static str = {
                const TEXT: &str = concat!($component, ".", stringify!($name));
                const LOWERED: [u8; TEXT.len()] =
                    $crate::http::lower_first_after(TEXT, $component.len());
                match str::from_utf8(&LOWERED) {
                    Ok(text) => text,
                    Err(_) => panic!("an identifier is UTF-8"),
                }
            };
            const METHOD: ::http::Method = ::http::Method::$method;
            const PATH: &'static str = $path;
            const ASKERS: &'static [$crate::http::Asker] = &[$(operations!(@asker $asker)),+];
            type Reply = operations!(@reply $($item)? $(-> $reply)?);
            fn resource(&self) -> ::types::Resource {
                operations!(@resource self $on)
            }
        })+

        /// The operations of this component.
        pub fn listings() -> Vec<$crate::http::Listing> {
            vec![$($crate::http::Listing {
                component: $component,
                permission: <$name as $crate::http::Operation>::PERMISSION,
                method: stringify!($method),
                path: $path,
                on: stringify!($on),
                askers: <$name as $crate::http::Operation>::ASKERS,
                summary: concat!($($doc),+),
                fields: |generator| generator.subschema_for::<$name>(),
                reply: |generator| {
                    generator.subschema_for::<<$name as $crate::http::Operation>::Reply>()
                },
            }),+]
        }
    };

    (@reply -> $reply:ty) => { $reply };
    (@reply $item:ident) => { ::types::Page<$item> };

    (@list [] $($operation:tt)*) => {};
    (@list [$item:ident] platform $name:ident $docs:tt $only:tt) => {
        operations! { @list $name $docs [Default,] [] $only }
    };
    (@list [$item:ident] account $name:ident $docs:tt $only:tt) => {
        operations! { @list $name $docs [] [account: ::types::AccountId,] $only }
    };
    (@list [$item:ident] instance $name:ident $docs:tt $only:tt) => {
        operations! { @list $name $docs []
            [account: ::types::AccountId, instance: ::types::InstanceId,] $only }
    };
    (@list [$item:ident] service $name:ident $docs:tt $only:tt) => {
        operations! { @list $name $docs [] [service: ::types::Name,] $only }
    };
    (@list $name:ident [$($doc:literal)+] [$($derive:ident,)?]
        [$($of:ident: $id:ty,)*] [$($filter:ident: $kind:ty,)*]
    ) => {
        $(#[doc = $doc])+
        #[derive(
            Debug, Clone, PartialEq, Eq, $($derive,)?
            ::serde::Serialize, ::serde::Deserialize, ::schemars::JsonSchema,
        )]
        pub struct $name {
            $(#[doc = concat!("Of which ", stringify!($of), ".")]
            pub $of: $id,)*
            $(#[doc = concat!("Only those of this ", stringify!($filter), ".")]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub $filter: Option<$kind>,)*
            /// The `next` of the page before.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub after: Option<String>,
            /// How many at most, 1 to 500; 100 if absent.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub limit: Option<u32>,
        }

        impl $name {
            /// Which page is asked for.
            pub fn cursor(&self) -> ::types::Cursor {
                ::types::Cursor { after: self.after.clone(), limit: self.limit }
            }
        }
    };

    (@resource $self:ident platform) => {{ let _ = $self; ::types::Resource::Platform }};
    (@resource $self:ident account) => { ::types::Resource::Account($self.account) };
    (@resource $self:ident instance) => {
        ::types::Resource::Instance($self.account, $self.instance)
    };
    (@resource $self:ident service) => { ::types::Resource::Service($self.service.clone()) };
    (@resource $self:ident node) => { ::types::Resource::Node($self.node) };

    (@asker public) => { $crate::http::Asker::Public };
    (@asker anyone) => { $crate::http::Asker::Anyone };
    (@asker customer) => { $crate::http::Asker::Customer };
    (@asker operator) => { $crate::http::Asker::Operator };
    (@asker agent) => { $crate::http::Asker::Agent };
    (@asker service) => { $crate::http::Asker::Service };
    (@asker instance) => { $crate::http::Asker::Instance };
    (@asker platform) => { $crate::http::Asker::Platform };
    (@asker $component:ident) => { $crate::http::Asker::Component(stringify!($component)) };
}
