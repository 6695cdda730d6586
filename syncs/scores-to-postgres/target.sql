-- What the shop reads: psql "$BACKHAUL_SECRET_SHOP_URL" -f target.sql
create schema crm;
create table crm.customer_scores (
    customer_id bigint primary key,
    segment     text,
    score       numeric(4, 3) not null check (score between 0 and 1),
    scored_on   date not null,
    reasons     jsonb,
    seen        boolean not null default false -- the shop's own: no sync writes it
);
