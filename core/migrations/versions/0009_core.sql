alter table tickets
  add column parent_id   int references tickets,
  add column merged_into int references tickets,
  add column cost        float8 not null default 0 check (cost >= 0), -- in the site's currency
  add column downtime_s  float8 check (downtime_s >= 0),
  add column safety      boolean not null default false,
  add column tags        text[] not null default '{}';
create index tickets_parent on tickets (parent_id) where parent_id is not null;
create index tickets_merged on tickets (merged_into) where merged_into is not null;
