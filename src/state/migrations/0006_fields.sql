-- The values that fields of a run's plan refused, as a JSON array of field, code and numbers.
alter table runs add column fields text not null default '[]';
