-- The keys that are trusted to sign releases of a service, and those that were taken back. What
-- `publisher` has is the key of the first release: nobody said that it is trusted.
create table publisher_key (
    service text not null,
    public_key text not null,
    comment text not null,
    added bigint not null,
    added_by text,
    taken_back bigint,
    taken_back_by text,
    primary key (service, public_key)
);
insert into publisher_key (service, public_key, comment, added)
    select service, public_key, '', coalesce((
        select min(created) from release where release.service = publisher.service), 0)
    from publisher;
