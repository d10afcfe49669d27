-- Who has published a release; of those that were published before, nobody knows.
alter table release add column published_by text;
