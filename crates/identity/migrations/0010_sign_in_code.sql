-- Codes with which a browser that is signed in at the console signs in at an instance's host. A
-- session has one at a time; what is kept of it is a digest.
create table sign_in_code (
    session text primary key,
    digest text not null,
    host text not null,
    browser text not null,
    expires bigint not null
);
create index sign_in_code_by_digest on sign_in_code (digest);
create index sign_in_code_by_expiry on sign_in_code (expires);
