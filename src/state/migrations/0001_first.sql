-- Times are microseconds since 1970 (UTC). Columns named *_sealed hold people's data, encrypted.

create table runs (
    id            text primary key,
    sync          text not null,
    status        text not null,
    stage         text not null,
    trigger       text not null,
    started       integer not null,
    updated       integer not null,
    finished      integer,
    counts        text not null,
    plan_hash     text,
    plan_path     text,
    config_digest text,
    identity      text,
    error_class   text,
    error_message text,
    error_remedy  text,
    held_reasons  text not null,
    calls         integer not null,
    exit_code     integer
) strict;
create index runs_by_sync on runs (sync, id);
create index runs_unfinished on runs (finished) where finished is null;

create table approvals (
    run       text primary key references runs (id),
    plan_hash text not null,
    approved  integer not null,
    used      integer
) strict;

create table rejects (
    sync        text not null,
    key_hash    blob not null,
    key_sealed  blob not null,
    fingerprint integer not null,
    class       text not null,
    code        text not null,
    field       text,
    text_sealed blob not null,
    attempts    integer not null,
    first_seen  integer not null,
    last_seen   integer not null,
    run         text not null,
    next_at     integer,
    resolution  text,
    primary key (sync, key_hash)
) strict, without rowid;

create table leases (
    account  text primary key,
    epoch    integer not null,
    holder   text,
    host     text,
    machine  text,
    pid      integer,
    born     integer,
    since    integer,
    expires  integer
) strict;

create table lease_waiters (
    ticket  integer primary key autoincrement,
    account text not null,
    expires integer not null
) strict;
create index lease_waiters_by_account on lease_waiters (account, ticket);

create table slots (
    sync text primary key,
    slot integer not null
) strict;
