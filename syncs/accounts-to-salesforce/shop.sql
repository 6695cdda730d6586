-- The shop's business customers, with who is above them: sqlite3 shop.db < shop.sql
create table accounts (
    account_id  integer primary key,
    name        text not null,
    parent_id   integer,
    owner_email text not null
);
insert into accounts values
    (2001, 'Becker Kreuzberg', 2002, 'ada@example.com'),
    (2002, 'Becker Berlin', 2003, 'bob@example.com'),
    (2003, 'Becker Group', null, 'ada@example.com'),
    (2004, 'Costa Lisboa', 2005, 'bob@example.com'),
    (2005, 'Costa Holding', null, 'eve@example.com');
