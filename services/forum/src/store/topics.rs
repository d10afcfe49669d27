//! Topics and posts.

use tenancy::Timestamp;

use super::{Db, Result, Row, Statement, sql};

/// A topic as a list shows it.
pub(crate) struct Topic {
    pub(crate) id: String,
    pub(crate) title: String,
    /// `None` once the member is gone.
    pub(crate) author: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) active_at: Timestamp,
    pub(crate) posts: i64,
}

/// A post as its topic shows it.
pub(crate) struct Post {
    pub(crate) id: String,
    pub(crate) author: Option<String>,
    pub(crate) body: String,
    pub(crate) created_at: Timestamp,
}

fn topic(row: &Row) -> Result<Topic> {
    Ok(Topic {
        id: row.text(0)?,
        title: row.text(1)?,
        author: row.maybe_text(2)?,
        created_at: row.moment(3)?,
        active_at: row.moment(4)?,
        posts: row.number(5)?,
    })
}

fn post(row: &Row) -> Result<Post> {
    Ok(Post {
        id: row.text(0)?,
        author: row.maybe_text(1)?,
        body: row.text(2)?,
        created_at: row.moment(3)?,
    })
}

/// A position in a list: a moment, and the id that tells apart what happened at the same one.
pub(crate) type Position = (i64, String);

/// Topics with the latest post first, those after `position` in that order.
pub(crate) async fn latest(db: &Db, position: Position, limit: i64) -> Result<Vec<Topic>> {
    sql("SELECT topic.id, title, member.name, created_at, active_at, \
         (SELECT COUNT(*) FROM post WHERE post.topic = topic.id) \
         FROM topic LEFT JOIN member ON member.id = topic.author \
         WHERE (active_at, topic.id) < ($1, $2) ORDER BY active_at DESC, topic.id DESC LIMIT $3")
    .bind(position.0)
    .bind(position.1)
    .bind(limit)
    .all(db, topic)
    .await
}

pub(crate) async fn by_id(db: &Db, id: &str) -> Result<Option<Topic>> {
    sql("SELECT topic.id, title, member.name, created_at, active_at, \
         (SELECT COUNT(*) FROM post WHERE post.topic = topic.id) \
         FROM topic LEFT JOIN member ON member.id = topic.author WHERE topic.id = $1")
    .bind(id)
    .first(db, topic)
    .await
}

/// The posts of a topic, oldest first, those after `position`.
pub(crate) async fn posts(
    db: &Db,
    topic: &str,
    position: Position,
    limit: i64,
) -> Result<Vec<Post>> {
    sql("SELECT post.id, member.name, body, created_at \
         FROM post LEFT JOIN member ON member.id = post.author \
         WHERE topic = $1 AND (created_at, post.id) > ($2, $3) \
         ORDER BY created_at, post.id LIMIT $4")
    .bind(topic)
    .bind(position.0)
    .bind(position.1)
    .bind(limit)
    .all(db, post)
    .await
}

/// What a member writes.
pub(crate) struct Draft<'a> {
    pub(crate) topic: &'a str,
    pub(crate) post: String,
    pub(crate) author: &'a str,
    pub(crate) body: &'a str,
    pub(crate) now: Timestamp,
}

impl Draft<'_> {
    /// Opens a topic with the draft as its first post. Asking twice with the same ids is harmless.
    pub(crate) fn open(&self, title: &str) -> Vec<Statement> {
        let topic = sql("INSERT INTO topic (id, title, folded, author, created_at, active_at) \
             VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT (id) DO NOTHING")
        .bind(self.topic)
        .bind(title)
        .bind(title.to_lowercase())
        .bind(self.author)
        .bind(self.now);
        vec![topic, self.insert()]
    }

    /// Adds the draft to its topic.
    pub(crate) fn reply(&self) -> Vec<Statement> {
        let active = sql("UPDATE topic SET active_at = $2 WHERE id = $1");
        vec![self.insert(), active.bind(self.topic).bind(self.now)]
    }

    /// Only into a topic that exists, so that none removed meanwhile leaves a post behind.
    fn insert(&self) -> Statement {
        sql("INSERT INTO post (id, topic, author, body, folded, created_at) \
             SELECT $1, id, $3, $4, $5, $6 FROM topic WHERE id = $2 ON CONFLICT (id) DO NOTHING")
        .bind(self.post.as_str())
        .bind(self.topic)
        .bind(self.author)
        .bind(self.body)
        .bind(self.body.to_lowercase())
        .bind(self.now)
    }
}

/// Removes a topic with its posts.
pub(crate) async fn remove(db: &Db, topic: &str) -> Result<()> {
    db.together(vec![
        sql("DELETE FROM post WHERE topic = $1").bind(topic),
        sql("DELETE FROM topic WHERE id = $1").bind(topic),
    ])
    .await
}

/// Removes one post of a topic; whether there was one.
pub(crate) async fn remove_post(db: &Db, topic: &str, post: &str) -> Result<bool> {
    let statement = sql("DELETE FROM post WHERE topic = $1 AND id = $2").bind(topic).bind(post);
    Ok(statement.run(db).await? > 0)
}

/// A post that a search found.
pub(crate) struct Found {
    pub(crate) topic: String,
    pub(crate) title: String,
    pub(crate) author: Option<String>,
    pub(crate) body: String,
    pub(crate) created_at: Timestamp,
}

fn found(row: &Row) -> Result<Found> {
    Ok(Found {
        topic: row.text(0)?,
        title: row.text(1)?,
        author: row.maybe_text(2)?,
        body: row.text(3)?,
        created_at: row.moment(4)?,
    })
}

/// The latest posts that contain `words`, or whose topic's title does.
pub(crate) async fn search(db: &Db, words: &str, limit: i64) -> Result<Vec<Found>> {
    let mut pattern = String::from("%");
    for letter in words.to_lowercase().chars() {
        if matches!(letter, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    sql("SELECT topic.id, title, member.name, body, post.created_at \
         FROM post JOIN topic ON topic.id = post.topic \
         LEFT JOIN member ON member.id = post.author \
         WHERE post.folded LIKE $1 ESCAPE '!' OR topic.folded LIKE $1 ESCAPE '!' \
         ORDER BY post.created_at DESC LIMIT $2")
    .bind(pattern)
    .bind(limit)
    .all(db, found)
    .await
}

/// The busiest topics since `since`: title and number of posts.
pub(crate) async fn busiest(db: &Db, since: Timestamp, limit: i64) -> Result<Vec<(String, i64)>> {
    sql("SELECT title, COUNT(*) FROM post JOIN topic ON topic.id = post.topic \
         WHERE post.created_at > $1 GROUP BY topic.id, title \
         ORDER BY COUNT(*) DESC, title LIMIT $2")
    .bind(since)
    .bind(limit)
    .all(db, |row| Ok((row.text(0)?, row.number(1)?)))
    .await
}

/// How many posts were written, and how many members joined, since `since`.
pub(crate) async fn activity(db: &Db, since: Timestamp) -> Result<(i64, i64)> {
    let counted = sql("SELECT (SELECT COUNT(*) FROM post WHERE created_at > $1), \
         (SELECT COUNT(*) FROM member WHERE joined_at > $1)");
    let counted = counted.bind(since).first(db, |row| Ok((row.number(0)?, row.number(1)?))).await?;
    Ok(counted.unwrap_or_default())
}

/// Keeps what the daily job summed up.
pub(crate) async fn keep_digest(db: &Db, now: Timestamp, posts: i64, text: &str) -> Result<u64> {
    sql("INSERT INTO digest (made_at, posts, summary) VALUES ($1, $2, $3) \
         ON CONFLICT (made_at) DO NOTHING")
    .bind(now)
    .bind(posts)
    .bind(text)
    .run(db)
    .await
}
