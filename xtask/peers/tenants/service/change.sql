create table if not exists note (id bigint primary key, text text not null);
insert into note select number, 'kept' from generate_series(1, 100) number on conflict do nothing;
