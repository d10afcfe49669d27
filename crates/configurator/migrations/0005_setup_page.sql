-- The digest of the set-up key, by which a gateway knows it; absent for instances of before.
alter table instance add column setup_digest text;
