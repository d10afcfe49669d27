-- A word that the master key opens: whoever has another key finds that out before doing anything.
create table seal_check (
    only_row bigint primary key check (only_row = 1),
    sealed text not null
);
