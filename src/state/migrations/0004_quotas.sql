-- What accounts have used of their long windows, so that a day's quota is counted across processes.
create table quotas (
    holder text not null,
    seconds integer not null,
    calls integer not null,
    resets_at integer not null,
    primary key (holder, seconds)
) strict;

-- A waiter of a higher rank is served before those that came earlier.
alter table lease_waiters add column rank integer not null default 0;
