//! Polls, their choices and votes.

use tenancy::Timestamp;

use super::{Db, Result, Row, sql};

/// A poll as a list shows it.
pub(crate) struct Poll {
    pub(crate) id: String,
    pub(crate) question: String,
    pub(crate) author: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) votes: i64,
}

/// One of a poll's answers.
pub(crate) struct Choice {
    pub(crate) id: String,
    pub(crate) label: String,
    pub(crate) votes: i64,
}

fn poll(row: &Row) -> Result<Poll> {
    Ok(Poll {
        id: row.text(0)?,
        question: row.text(1)?,
        author: row.maybe_text(2)?,
        created_at: row.moment(3)?,
        votes: row.number(4)?,
    })
}

/// The newest polls.
pub(crate) async fn newest(db: &Db, limit: i64) -> Result<Vec<Poll>> {
    sql("SELECT poll.id, question, member.name, created_at, \
         (SELECT COUNT(*) FROM vote WHERE vote.poll = poll.id) \
         FROM poll LEFT JOIN member ON member.id = poll.author \
         ORDER BY created_at DESC, poll.id LIMIT $1")
    .bind(limit)
    .all(db, poll)
    .await
}

pub(crate) async fn by_id(db: &Db, id: &str) -> Result<Option<Poll>> {
    sql("SELECT poll.id, question, member.name, created_at, \
         (SELECT COUNT(*) FROM vote WHERE vote.poll = poll.id) \
         FROM poll LEFT JOIN member ON member.id = poll.author WHERE poll.id = $1")
    .bind(id)
    .first(db, poll)
    .await
}

/// A poll's choices in the author's order.
pub(crate) async fn choices(db: &Db, poll: &str) -> Result<Vec<Choice>> {
    sql("SELECT id, label, (SELECT COUNT(*) FROM vote WHERE vote.choice = choice.id) \
         FROM choice WHERE poll = $1 ORDER BY place")
    .bind(poll)
    .all(db, |row| Ok(Choice { id: row.text(0)?, label: row.text(1)?, votes: row.number(2)? }))
    .await
}

/// What `member` has chosen in a poll.
pub(crate) async fn chosen(db: &Db, poll: &str, member: &str) -> Result<Option<String>> {
    sql("SELECT choice FROM vote WHERE poll = $1 AND member = $2")
        .bind(poll)
        .bind(member)
        .first(db, |row| row.text(0))
        .await
}

/// Opens a poll; `choices` are ids with their labels.
pub(crate) async fn open(
    db: &Db,
    id: &str,
    question: &str,
    author: &str,
    choices: &[(String, String)],
    now: Timestamp,
) -> Result<()> {
    let poll = sql("INSERT INTO poll (id, question, author, created_at) VALUES ($1, $2, $3, $4)")
        .bind(id)
        .bind(question)
        .bind(author)
        .bind(now);
    let choices = (0..).zip(choices).map(|(place, (choice, label)): (i64, _)| {
        sql("INSERT INTO choice (id, poll, place, label) VALUES ($1, $2, $3, $4)")
            .bind(choice.as_str())
            .bind(id)
            .bind(place)
            .bind(label.as_str())
    });
    db.together(std::iter::once(poll).chain(choices).collect()).await
}

/// Casts or changes a vote; `false` if the poll has no such choice.
pub(crate) async fn vote(db: &Db, poll: &str, member: &str, choice: &str) -> Result<bool> {
    let statement = sql("INSERT INTO vote (poll, member, choice) \
         SELECT poll, $2, id FROM choice WHERE poll = $1 AND id = $3 \
         ON CONFLICT (poll, member) DO UPDATE SET choice = excluded.choice");
    Ok(statement.bind(poll).bind(member).bind(choice).run(db).await? > 0)
}
