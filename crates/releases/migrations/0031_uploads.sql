-- Packages that are being sent. A row is written before the file of its parts, so that no file is
-- forgotten.
create table upload (
    digest text primary key,
    begun bigint not null
);
create index upload_by_begun on upload (begun);
