-- The revision that every copy must have applied before the answer is given again; null if none.
alter table repeated_request add column revision bigint;
