//! As a component does it.

use db::{Db, Engine, Row, query};
use types::Secret;

use super::{Item, Items, PASSWORD, TABLE};

pub(crate) struct Ours(Db);

const INSERT: &str = "insert into item (key, owner, size, done, note) values (?, ?, ?, ?, ?)";
const GET: &str = "select key, owner, size, done, note from item where key = ?";
const LIST: &str = "select key, owner, size, done, note from item order by key limit ?";

impl Ours {
    pub(crate) async fn open(engine: &Engine) -> anyhow::Result<Self> {
        Ok(Self(engine.open("ours", &Secret::new(PASSWORD), &[&[TABLE]]).await?))
    }
}

fn insertion(item: Item) -> db::Query {
    query(INSERT).bind(item.key).bind(item.owner).bind(item.size).bind(item.done).bind(item.note)
}

fn read(row: &Row) -> Result<Item, db::Error> {
    Ok(Item {
        key: row.get("key")?,
        owner: row.get("owner")?,
        size: row.get("size")?,
        done: row.get("done")?,
        note: row.get("note")?,
    })
}

impl Items for Ours {
    async fn insert(&self, item: Item) -> anyhow::Result<()> {
        insertion(item).run(&self.0).await?;
        Ok(())
    }

    async fn insert_all(&self, items: Vec<Item>) -> anyhow::Result<()> {
        let mut tx = self.0.begin().await?;
        for item in items {
            insertion(item).run(&mut tx).await?;
        }
        Ok(tx.commit().await?)
    }

    async fn get(&self, key: &str) -> anyhow::Result<Item> {
        Ok(query(GET).bind(key).one(&self.0, read).await?)
    }

    async fn list(&self, count: u32) -> anyhow::Result<Vec<Item>> {
        Ok(query(LIST).bind(count).all(&self.0, read).await?)
    }

    async fn close(&self) {
        self.0.close().await;
    }
}
