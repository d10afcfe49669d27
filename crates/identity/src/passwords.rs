//! Passwords, kept as Argon2id hashes.
//!
//! They are computed on two threads of their own that stand back for everything else. One of them
//! is for whoever is known here, so that strangers, however many, leave it free. Few may wait, and
//! of one address fewer: a flood costs neither the memory nor the cores that everybody else needs.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use argon2::{
    Argon2, Params, PasswordHasher as _, PasswordVerifier as _, password_hash::phc::PasswordHash,
};
use tokio::sync::{mpsc, oneshot};
use types::Secret;

use crate::Error;

const WAITING_MAX: usize = 256;
/// So many of one address may wait at once.
const OF_ONE_ADDRESS_MAX: usize = 32;
/// How far the threads stand back, as `nice` counts it.
const STAND_BACK: i32 = 10;

/// How often the memory is gone over for a hash.
const PASSES: u32 = 2;

type Work = Box<dyn FnOnce() + Send>;

/// On whose behalf something is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// Somebody who has shown before that they are somebody.
    Known,
    /// Anybody, at an address if that is known.
    Stranger(Option<IpAddr>),
}

pub(crate) struct Passwords {
    /// What a new hash costs.
    cost: Params,
    known: mpsc::Sender<Work>,
    strangers: mpsc::Sender<Work>,
    /// How many of each address are waiting.
    waiting: Arc<Mutex<HashMap<Option<IpAddr>, usize>>>,
}

impl Passwords {
    /// `memory_kib` is what a new hash takes; Argon2id cannot do with less than eight.
    pub(crate) fn new(memory_kib: u32) -> Self {
        let cost = Params::new(memory_kib.max(Params::MIN_M_COST), PASSES, 1, None);
        let cost = cost.expect("so much memory and so many passes can be asked for");
        let (known, strangers) = (begin_thread("passwords"), begin_thread("strangers"));
        Self { cost, known, strangers, waiting: Arc::default() }
    }

    /// The hash to keep for a new password.
    pub(crate) async fn hash(&self, password: Secret, whose: For) -> Result<String, Error> {
        let length = password.reveal().chars().count();
        if !(10..=200).contains(&length) {
            return Err(Error::Password);
        }
        let argon2 = Argon2::from(&self.cost);
        let hashed = self.compute(whose, move || {
            let hash = argon2.hash_password(password.reveal().as_bytes());
            hash.map(|hash| hash.to_string()).ok()
        });
        hashed.await?.ok_or(Error::Hashing)
    }

    /// What an unknown user's password is compared with, so that it takes as long as a known one's.
    fn nobodys_hash(&self) -> String {
        let (memory, passes) = (self.cost.m_cost(), self.cost.t_cost());
        format!(
            "$argon2id$v=19$m={memory},t={passes},p=1$c29tZXNhbHRzb21lc2FsdA$\
             AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        )
    }

    /// Whether `password` is the one that `hash` was made of; `None` stands for an unknown user.
    pub(crate) async fn is_right(
        &self,
        password: Secret,
        hash: Option<String>,
        whose: For,
    ) -> Result<bool, Error> {
        if password.reveal().len() > 1_000 {
            return Ok(false);
        }
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobodys_hash());
        let same = self.compute(whose, move || {
            let hash = PasswordHash::new(&hash).ok()?;
            // At what the hash cost when it was made.
            Argon2::default().verify_password(password.reveal().as_bytes(), &hash).ok()
        });
        Ok(same.await?.is_some() && known)
    }

    async fn compute<T: Send + 'static>(
        &self,
        whose: For,
        work: impl FnOnce() -> Option<T> + Send + 'static,
    ) -> Result<Option<T>, Error> {
        let (lane, permit) = match whose {
            For::Known => (&self.known, None),
            For::Stranger(address) => (&self.strangers, Some(self.permit(address)?)),
        };
        let (answer, answered) = oneshot::channel();
        let work: Work = Box::new(move || {
            let _permit = permit;
            // Whoever has gone meanwhile needs no answer, and costs none.
            if !answer.is_closed() {
                let _ = answer.send(work());
            }
        });
        lane.try_send(work).map_err(|_| Error::Busy)?;
        answered.await.map_err(|_| Error::Hashing)
    }

    fn permit(&self, address: Option<IpAddr>) -> Result<Permit, Error> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let of_it = waiting.entry(address).or_default();
        if *of_it >= OF_ONE_ADDRESS_MAX {
            return Err(Error::Busy);
        }
        *of_it += 1;
        Ok(Permit { address, waiting: Arc::clone(&self.waiting) })
    }
}

/// One of an address's permits; free again when it is dropped.
struct Permit {
    address: Option<IpAddr>,
    waiting: Arc<Mutex<HashMap<Option<IpAddr>, usize>>>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_it) = waiting.get_mut(&self.address) {
            *of_it -= 1;
            if *of_it == 0 {
                waiting.remove(&self.address);
            }
        }
    }
}

/// A thread that does what it is sent, one after the other, until nobody can send any more.
fn begin_thread(name: &str) -> mpsc::Sender<Work> {
    let (sender, mut receiver) = mpsc::channel::<Work>(WAITING_MAX);
    let run = move || {
        // On Linux this is the thread's own. If it is refused, the thread works all the same.
        let _ = rustix::process::nice(STAND_BACK);
        while let Some(work) = receiver.blocking_recv() {
            work();
        }
    };
    let begun = thread::Builder::new().name(name.to_owned()).spawn(run);
    begun.expect("a process that cannot begin two threads cannot work");
    sender
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    const ANYBODY: For = For::Stranger(None);

    #[tokio::test]
    async fn only_the_right_password_is_right() {
        let passwords = Passwords::new(Config::HASH_MEMORY_KIB);
        let hash = passwords.hash(Secret::new("correct horse"), ANYBODY).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let is_right = async |text: &str, hash: Option<String>| {
            passwords.is_right(Secret::new(text), hash, ANYBODY).await.unwrap()
        };
        assert!(is_right("correct horse", Some(hash.clone())).await);
        assert!(!is_right("correct house", Some(hash)).await);
        assert!(!is_right("correct horse", None).await);
        assert!(passwords.hash(Secret::new("short"), ANYBODY).await.is_err());
    }

    #[tokio::test]
    async fn an_unknown_user_costs_as_much_as_a_known_one() {
        for memory_kib in [Config::HASH_MEMORY_KIB, 8] {
            let passwords = Passwords::new(memory_kib);
            let known = passwords.hash(Secret::new("correct horse"), ANYBODY).await.unwrap();
            let costs = |hash: &str| Params::try_from(&PasswordHash::new(hash).unwrap()).unwrap();
            assert_eq!(costs(&passwords.nobodys_hash()), costs(&known));
            assert_eq!(costs(&known).m_cost(), memory_kib);
        }
    }

    /// Waits until it is let go.
    fn slow() -> (std::sync::mpsc::Sender<()>, impl FnOnce() -> Option<()> + Send + 'static) {
        let (go, wait) = std::sync::mpsc::channel();
        (go, move || wait.recv().ok())
    }

    #[tokio::test]
    async fn strangers_do_not_use_up_what_others_need() {
        let passwords = Arc::new(Passwords::new(Config::HASH_MEMORY_KIB));
        let mut going = Vec::new();
        let mut busy = 0;
        for n in 0..200 {
            let (go, work) = slow();
            let passwords = Arc::clone(&passwords);
            let address = For::Stranger(Some([192, 0, 2, n / 100].into()));
            let asked = tokio::spawn(async move { passwords.compute(address, work).await });
            tokio::task::yield_now().await;
            if asked.is_finished() {
                busy += 1;
            }
            going.push((go, asked));
        }
        assert_eq!(busy, 200 - 2 * OF_ONE_ADDRESS_MAX, "two addresses have their permits");
        let known = passwords.compute(For::Known, || Some("at once")).await.unwrap();
        assert_eq!(known, Some("at once"));
        let other = For::Stranger(Some([192, 0, 2, 9].into()));
        let waiting = passwords.compute(other, || Some("in turn"));
        for (go, _) in &going {
            let _ = go.send(());
        }
        assert_eq!(waiting.await.unwrap(), Some("in turn"));
        assert!(passwords.waiting.lock().unwrap().len() <= 2);
    }
}
