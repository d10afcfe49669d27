//! Which process owns the database, and which master key it was made with.

/// Who owns it, and how far it has counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) process: String,
    beat: i64,
}

pub(crate) async fn owner(db: &db::Db) -> Result<Option<Owner>, db::Error> {
    db::query("select process, beat from owner")
        .optional(db, |row| Ok(Owner { process: row.get("process")?, beat: row.get("beat")? }))
        .await
}

/// Makes `process` the owner if the owner is still `former`; answers whether it is.
pub(crate) async fn take(
    db: &db::Db,
    former: Option<&Owner>,
    process: &str,
) -> Result<bool, db::Error> {
    let Some(former) = former else {
        return db::query(
            "insert into owner (only_row, process, beat) values (1, ?, 0) on conflict do nothing",
        )
        .bind(process)
        .run(db)
        .await
        .map(|made| made == 1);
    };
    db::query("update owner set process = ?, beat = beat + 1 where process = ? and beat = ?")
        .bind(process)
        .bind(&former.process)
        .bind(former.beat)
        .run(db)
        .await
        .map(|changed| changed == 1)
}

/// Counts on; answers whether `process` is still the owner.
pub(crate) async fn beat(db: &db::Db, process: &str) -> Result<bool, db::Error> {
    db::query("update owner set beat = beat + 1 where process = ?")
        .bind(process)
        .run(db)
        .await
        .map(|changed| changed == 1)
}

/// Gives it back, for whoever comes next.
pub(crate) async fn give_back(db: &db::Db, process: &str) -> Result<(), db::Error> {
    db::query("delete from owner where process = ?").bind(process).run(db).await.map(drop)
}

/// What the database's master key opens; `made` if there was nothing yet.
pub(crate) async fn seal_check(db: &db::Db, made: &str) -> Result<String, db::Error> {
    db::query("insert into seal_check (only_row, sealed) values (1, ?) on conflict do nothing")
        .bind(made)
        .run(db)
        .await?;
    db::query("select sealed from seal_check").one(db, |row| row.get("sealed")).await
}
