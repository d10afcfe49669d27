-- Releases that nodes keep because only they can do some jobs.
create table kept_release (
    service text not null,
    digest text not null,
    primary key (service, digest)
);
