-- Where a release is from, as whoever published it says.
alter table release add column source text;
