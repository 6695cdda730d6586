-- How many rows every suppression list had when it was last read.
create table lists (
    list      text not null primary key,
    row_count integer not null,
    read      integer not null
) strict, without rowid;
