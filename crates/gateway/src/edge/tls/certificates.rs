//! The certificates that are shown, by the names that they are for.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use types::Timestamp;

/// A certificate, and what it says of itself.
#[derive(Debug, Clone)]
pub(super) struct Certificate {
    /// The hosts that it is for, in small letters; `*.` stands for one label.
    pub(super) names: Vec<String>,
    /// From when on nobody believes it.
    pub(super) until: Timestamp,
    pub(super) key: Arc<CertifiedKey>,
}

/// All that can be shown.
#[derive(Debug, Default)]
pub(super) struct Certificates(ArcSwap<HashMap<String, Certificate>>);

impl Certificates {
    /// Shows these from now on, and for names that none of them is for what was shown before, unless
    /// they are all (`are_whole`). Of several for one name it is the one that is good for longest.
    pub(super) fn replace(&self, (all, are_whole): (Vec<Certificate>, bool)) {
        let mut by_name: HashMap<String, Certificate> = HashMap::new();
        for certificate in all {
            for name in &certificate.names {
                let is_better = by_name.get(name).is_none_or(|it| it.until < certificate.until);
                if is_better {
                    by_name.insert(name.clone(), certificate.clone());
                }
            }
        }
        if !are_whole {
            for (name, before) in &**self.0.load() {
                by_name.entry(name.clone()).or_insert_with(|| before.clone());
            }
        }
        self.0.store(Arc::new(by_name));
    }

    pub(super) fn are_none(&self) -> bool {
        self.0.load().is_empty()
    }

    /// What is shown for a host.
    fn find(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        let all = self.0.load();
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let one = all.get(&host).or_else(|| {
            let (_, above) = host.split_once('.')?;
            all.get(&format!("*.{above}"))
        });
        one.map(|it| Arc::clone(&it.key))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name()?)
    }
}
