-- The process that the database belongs to; it counts `beat` up for as long as it lives.
create table owner (
    only_row bigint primary key check (only_row = 1),
    process text not null,
    beat bigint not null
);
