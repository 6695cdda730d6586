-- What the warehouse computed: sqlite3 shop.db < shop.sql
create table scores (
    customer_id integer primary key,
    segment     text,
    score       real not null,
    scored_on   text not null,
    reasons     text                     -- JSON
);
insert into scores values
    (1001, 'vip', 0.91, '2026-11-24', '["orders", "visits"]'),
    (1002, 'new', 0.12, '2026-11-24', '[]'),
    (1003, null, 0.40, '2026-11-23', null),
    (1004, 'vip', 0.88, '2026-11-24', '["orders"]');
