-- A grant is there once: of those that say the same the first is kept.
delete from access_grant where id not in (
    select min(id) from access_grant group by principal, given, resource
);
create unique index access_grant_once on access_grant (principal, given, resource);

-- What went here goes from every copy too: without its log the feed sends them a snapshot.
delete from feed_document
where topic = 'grant' and name not in (select id from access_grant);
delete from feed_log;
update feed_head set revision = revision + 1;
