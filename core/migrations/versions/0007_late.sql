-- Data that come after their time was judged.

-- which transaction stored a flush: tells exactly what a reader could not have seen yet, also when transactions overtake
-- each other
alter table ingest_batches add column xid xid8 not null default pg_current_xact_id();
create index ingest_batches_named on ingest_batches (xid) where signals is not null;

-- up to which flushes each site's detectors have looked for late data
create table late_cursors (
  site_id int primary key default current_site() references sites,
  seen    pg_snapshot not null
);

-- times of an asset that got new samples after they were judged; judged again once for all that came meanwhile
create table late_stretches (
  stretch_id bigint generated always as identity primary key,
  site_id    int not null default current_site() references sites,
  asset_id   int not null references assets,
  from_us    bigint not null,
  until_us   bigint not null,
  noted_at   timestamptz not null default clock_timestamp(), -- wall
  heard_at   timestamptz not null default clock_timestamp(), -- the last of them came
  taken_at   timestamptz, -- being judged: what comes now makes a new row
  judged_at  timestamptz,
  judged_from_us bigint, -- the memory that was taken up again; later than from_us: older samples are gone
  rows       int not null default 0, -- judged again
  told       int not null default 0, -- findings that are new
  withdrawn  int not null default 0 -- findings that no longer hold
);
create unique index late_stretches_waiting on late_stretches (asset_id) where taken_at is null;
create index late_stretches_open on late_stretches (asset_id) where judged_at is null;

-- older memories of a detector, ever further apart
create table detector_history (
  site_id      int not null default current_site() references sites,
  asset_id     int not null references assets,
  detector     text not null,
  version      text not null,
  watermark_us bigint not null,
  state        bytea not null, -- deflated
  primary key (asset_id, detector, watermark_us)
);

-- a finding that does not hold with all the data is kept, and marked
alter table findings add column withdrawn_at timestamptz; -- plant time
-- what was said of a sensor before may have been another fault at the same time
alter table findings drop constraint findings_asset_id_detector_kind_at_active_subject_key;
create unique index findings_once on findings (asset_id, detector, kind, at, active, subject, (coalesce(mode, '')));

-- how far a table was stored, so that a second call goes on there
create table backfills (
  site_id     int not null references sites,
  fingerprint text not null, -- of the file and how it is read
  name        text not null,
  rows_done   bigint not null default 0,
  began_at    timestamptz not null default now(),
  updated_at  timestamptz not null default now(),
  done_at     timestamptz,
  primary key (site_id, fingerprint)
);

grant select, insert, update, delete on late_cursors, late_stretches, detector_history to millwright_app;
grant select on backfills to millwright_app;
grant select, insert, update, delete on backfills to millwright_ingest;
grant usage, select on all sequences in schema public to millwright_app;

do $$
declare t text;
begin
  foreach t in array array['late_cursors', 'late_stretches', 'detector_history', 'backfills'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy site on %I to millwright_app using (site_id = (select current_site())) with check (site_id = (select current_site()))', t);
  end loop;
  create policy ingest on backfills to millwright_ingest using (true) with check (true);
end $$;
