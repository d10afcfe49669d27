-- Whether anybody else has a role that is taken from somebody.
create index access_grant_by_what on access_grant (resource, given);
