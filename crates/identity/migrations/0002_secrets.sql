-- A token with which this machine joined for ever: from here on it is renewed and used once.
delete from join_token where expires = 9223372036854775807;
create index join_token_by_expiry on join_token (expires);

create index session_by_person on session (person);

-- What a link to choose a new password carries, by its digest.
create table password_reset (
    hash text primary key,
    person text not null references person (id),
    created bigint not null,
    expires bigint not null
);
create index password_reset_by_person on password_reset (person);
create index password_reset_by_expiry on password_reset (expires);
