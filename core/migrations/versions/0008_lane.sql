-- messages that were let go without being kept: of a site that is not there, so no site can own the row
create table ingest_drops (
  site     text not null, -- as the topic names it; '' = one of the many others
  device   text not null,
  reason   text not null,
  count    bigint not null,
  topic    text not null default '', -- of the last one
  first_at timestamptz not null default now(),
  last_at  timestamptz not null default now(),
  primary key (site, device, reason)
);
grant select, insert, update on ingest_drops to millwright_ingest;
grant select on ingest_drops to millwright_app;
