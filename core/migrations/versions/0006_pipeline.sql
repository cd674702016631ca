-- How each source is doing, and what is said when one falls silent.

alter table source_status drop constraint source_status_state_check;
alter table source_status add constraint source_status_state_check
  check (state in ('heard', 'connected', 'lost', 'silent', 'misconfigured'));
alter table source_status
  add column state_since    timestamptz not null default now(),
  add column expected_s     float8, -- seconds of the wall between two signs of life, at most, as far as is known
  add column lagging_since  timestamptz, -- wall time; null = the lag is as it should be
  add column rated          bigint not null default 0, -- samples when the rate was last told, by one for all processes
  add column rated_at       timestamptz,
  add column missing        bigint not null default 0, -- messages of its newest epoch that did not come yet
  add column repeated       bigint not null default 0, -- readings of messages that had come before
  add column released       bigint not null default 0, -- readings that left quarantine; they count as samples since
  add column dropped        bigint not null default 0; -- readings that could be neither stored nor quarantined

create function note_state_since() returns trigger language plpgsql as $$
begin
  if new.state is distinct from old.state then new.state_since := clock_timestamp(); end if;
  return new;
end $$;
create trigger state_since before update of state on source_status for each row execute function note_state_since();

-- what a flush did, a row a source, written in the flush's own transaction and folded away about once a second: counts
-- are exact whatever is killed. No index: it is read whole.
create table source_tallies (
  site_id     int not null,
  source      text not null,
  heard       bigint not null, -- readings in all its messages
  messages    bigint not null,
  unsequenced bigint not null,
  repeated    bigint not null,
  samples     bigint not null,
  quarantined bigint not null,
  twins       bigint not null, -- samples of new messages that were there already
  released    bigint not null,
  dropped     bigint not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- the same, summed for each hour of the wall
create table source_counts (
  site_id     int not null,
  source      text not null,
  hour        timestamptz not null,
  heard       bigint not null default 0,
  messages    bigint not null default 0,
  unsequenced bigint not null default 0,
  repeated    bigint not null default 0,
  samples     bigint not null default 0,
  quarantined bigint not null default 0,
  twins       bigint not null default 0,
  released    bigint not null default 0,
  dropped     bigint not null default 0,
  primary key (site_id, source, hour)
);

-- what a gateway last said of itself, a row an epoch of its spool
create table gateway_reports (
  site_id    int not null references sites,
  source     text not null,
  epoch      text not null,
  seq        bigint not null, -- last number given
  samples    bigint not null, -- spooled since the epoch began
  waiting    bigint not null, -- batches in the spool
  share_full float8 not null,
  refused    bigint not null, -- readings that could not be read or kept since it started
  sources    jsonb not null default '[]',
  told_at    timestamptz not null default now(),
  primary key (site_id, source, epoch)
);

-- something wrong with the way of the data: ingest writes what it notices, the worker tells people and settles
create table source_faults (
  fault_id    bigint generated always as identity primary key,
  site_id     int not null references sites,
  kind        text not null check (kind in ('source', 'tag', 'many', 'lag')),
  source      text not null default '', -- '' = many at once
  signal_id   int references signals,
  since       timestamptz not null, -- wall time of the last sign of life
  expected_s  float8 not null,
  detail      jsonb not null default '{}',
  noticed_at  timestamptz not null default clock_timestamp(),
  ended_at    timestamptz,
  ended_as    text check (ended_as in ('heard', 'covered', 'forgotten')),
  alarm_id    int references alarms,
  told_at     timestamptz, -- people know; null = the worker has still to act
  end_told_at timestamptz
);
create unique index source_faults_one_open on source_faults (site_id, kind, source, (coalesce(signal_id, 0)))
  where ended_at is null;
create index source_faults_untold on source_faults (site_id)
  where told_at is null or (ended_at is not null and end_told_at is null);

-- when ingest last lived: told by one who still does
create table ingest_heartbeat (
  only_row boolean primary key default true check (only_row),
  at       timestamptz not null default now()
);
grant select, insert, update on ingest_heartbeat to millwright_ingest;
grant select on ingest_heartbeat to millwright_app;

-- how often a tag is heard, where that is not what its signal says; kept so that a restart forgets nothing
create table signal_pace (
  signal_id int primary key references signals,
  site_id   int not null,
  gap_s     real not null -- the longest pause lately, seconds of the wall
);

-- whether a tag comes all the time, or only when its value changes (then only its source can be silent);
-- null: as its kind of source does it
alter table bindings add column report text check (report in ('periodic', 'on_change'));

grant select, insert, update, delete on source_tallies, source_counts, gateway_reports, source_faults, signal_pace
  to millwright_ingest;
grant usage, select on sequence source_faults_fault_id_seq to millwright_ingest, millwright_app;
grant select on source_tallies, source_counts, gateway_reports, signal_pace to millwright_app;
grant select, insert, update on source_faults to millwright_app; -- insert: that ingest itself is away

do $$
declare t text;
begin
  foreach t in array array['source_tallies', 'source_counts', 'gateway_reports', 'source_faults', 'signal_pace'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy site on %I to millwright_app using (site_id = (select current_site())) with check (site_id = (select current_site()))', t);
    execute format('create policy ingest on %I to millwright_ingest using (true) with check (true)', t);
  end loop;
end $$;
