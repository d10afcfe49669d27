-- Which packages there are, and since when. Until now none was ever deleted.
create table package (
    digest text primary key,
    stored bigint not null
);
create index package_by_stored on package (stored);
insert into package (digest, stored) select digest, max(created) from release group by digest;
