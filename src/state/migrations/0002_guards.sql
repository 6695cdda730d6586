-- How many rows of a run go first: `1%` or `100`.
alter table runs add column goes_first text;

create index runs_by_end on runs (sync, finished);

-- Limits that an operator raised for a while.
create table allowances (
    sync      text not null,
    limit_of  text not null,
    value     text not null,
    until     integer not null,
    run       text not null references runs (id),
    primary key (sync, limit_of)
) strict, without rowid;
