-- Who has a permission that a release drops.
create index access_grant_by_given on access_grant (given, id);
