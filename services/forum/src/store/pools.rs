//! The open databases of the forums that were visited lately.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use tenancy::{InstanceId, Tenant};

use super::{Db, Result};

/// How many databases are held open; the one visited longest ago makes room.
const OPEN_MAX: usize = 200;

#[derive(Default)]
pub(crate) struct Pools(Mutex<Open>);

#[derive(Default)]
struct Open {
    pools: HashMap<InstanceId, Pool>,
    visits: u64,
}

struct Pool {
    db: Db,
    url: tenancy::Secret,
    visit: u64,
}

impl Pools {
    /// The database of `tenant`. A changed address or password opens it anew.
    pub(crate) fn of(&self, tenant: &Tenant) -> Result<Db> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.visits += 1;
        let visit = open.visits;
        if let Some(pool) = open.pools.get_mut(&tenant.instance)
            && pool.url == tenant.database_url
        {
            pool.visit = visit;
            return Ok(pool.db.clone());
        }
        if open.pools.len() >= OPEN_MAX
            && !open.pools.contains_key(&tenant.instance)
            && let Some((oldest, _)) = open.pools.iter().min_by_key(|(_, pool)| pool.visit)
        {
            let oldest = *oldest;
            open.pools.remove(&oldest);
        }
        let db = Db::open(tenant.database_url.reveal(), false)?;
        let pool = Pool { db: db.clone(), url: tenant.database_url.clone(), visit };
        open.pools.insert(tenant.instance, pool);
        Ok(db)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(number: usize, url: &str) -> Tenant {
        Tenant {
            instance: InstanceId::named(&[&number.to_string()]),
            host: "a.localhost".parse().unwrap(),
            database_url: tenancy::Secret::new(url),
            modules: std::collections::BTreeSet::new(),
            settings: std::collections::BTreeMap::new(),
            public_url: String::new(),
        }
    }

    fn open(pools: &Pools, number: usize) -> bool {
        pools.0.lock().unwrap().pools.contains_key(&tenant(number, "").instance)
    }

    #[tokio::test]
    async fn the_forum_visited_longest_ago_makes_room() {
        let pools = Pools::default();
        for number in 0..OPEN_MAX {
            pools.of(&tenant(number, "sqlite:x.db")).unwrap();
        }
        pools.of(&tenant(0, "sqlite:x.db")).unwrap();
        pools.of(&tenant(OPEN_MAX, "sqlite:x.db")).unwrap();
        assert!(open(&pools, 0) && !open(&pools, 1) && open(&pools, OPEN_MAX));
    }

    #[tokio::test]
    async fn a_changed_address_is_taken_up() {
        let pools = Pools::default();
        pools.of(&tenant(0, "sqlite:x.db")).unwrap();
        assert!(matches!(pools.of(&tenant(0, "postgres://a@b/c")).unwrap(), Db::Postgres(_)));
        assert!(pools.of(&tenant(0, "mysql://a")).is_err());
    }
}
