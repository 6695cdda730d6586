-- What a run has to say without being held or failing: sentences without row values, as a JSON array.
alter table runs add column warnings text not null default '[]';
