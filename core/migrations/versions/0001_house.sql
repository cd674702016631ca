-- The house. Every business row carries site_id and a policy; the current site is a transaction-local setting,
-- so that without one no row is seen (fails closed).

create function current_site() returns int language sql stable parallel safe
  as $$ select nullif(current_setting('app.site_id', true), '')::int $$;

-- identity: instance-wide, because a person is looked up before a site is known (listed in the catalogue test)

create table sites (
  site_id    int generated always as identity primary key,
  code       text not null unique check (code ~ '^[A-Za-z0-9_-]{1,64}$'),
  name       text not null,
  timezone   text not null default 'UTC',
  created_at timestamptz not null default now()
);

create table users (
  user_id       int generated always as identity primary key,
  login         text not null unique check (login ~ '^[a-z0-9._@-]{1,64}$'),
  name          text not null,
  password_hash text,
  locale        text not null default 'en' check (locale in ('en', 'zh')),
  disabled_at   timestamptz,
  failed_logins int not null default 0,
  locked_until  timestamptz,
  created_at    timestamptz not null default now()
);

create table memberships (
  user_id int not null references users,
  site_id int not null references sites,
  role    text not null check (role in ('device', 'gateway', 'requester', 'engineer', 'planner', 'manager', 'admin', 'agent')),
  primary key (user_id, site_id)
);

create table sessions (
  token_hash bytea primary key,
  user_id    int not null references users,
  kind       text not null check (kind in ('session', 'token', 'link')),
  name       text not null default '',
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  used_at    timestamptz,
  revoked_at timestamptz
);
create index sessions_user on sessions (user_id);

create table plant_clock (
  only_row     boolean primary key default true check (only_row),
  wall_anchor  timestamptz not null default now(),
  plant_anchor timestamptz not null default now(),
  factor       float8 not null default 1 check (factor > 0)
);
insert into plant_clock default values;

-- plant

create table devices (
  device_id     int generated always as identity primary key,
  site_id       int not null default current_site() references sites,
  name          text not null check (name ~ '^[A-Za-z0-9_-]{1,64}$'),
  secret_hash   text not null,
  registered_at timestamptz not null default now(),
  revoked_at    timestamptz,
  unique (site_id, name)
);
-- the broker knows names without sites: one living device a name
create unique index devices_one_name on devices (name) where revoked_at is null;

create table assets (
  asset_id    int generated always as identity primary key,
  site_id     int not null default current_site() references sites,
  parent_id   int references assets,
  code        text not null check (length(code) between 1 and 64),
  name        text not null,
  name_zh     text,
  class       text not null default '',
  criticality smallint not null default 3 check (criticality between 1 and 5),
  location    text not null default '',
  level       text not null default 'unit' check (level in ('site', 'area', 'line', 'unit', 'component')),
  created_at  timestamptz not null default now(),
  unique (site_id, code)
);
create index assets_parent on assets (parent_id);

create table signals (
  signal_id  int generated always as identity primary key,
  site_id    int not null default current_site() references sites,
  asset_id   int not null references assets,
  code       text not null check (length(code) between 1 and 128),
  name       text not null,
  quantity   text not null,
  unit       text not null,
  low        float8,
  high       float8,
  period_s   float8 not null default 1 check (period_s > 0),
  role       text not null default 'measured' check (role in ('measured', 'setpoint', 'state')),
  created_at timestamptz not null default now(),
  unique (asset_id, code)
);

create table bindings (
  binding_id  int generated always as identity primary key,
  site_id     int not null default current_site() references sites,
  source      text not null,
  tag         text not null,
  signal_id   int not null references signals,
  unit        text not null,
  scale       float8 not null default 1,
  "offset"    float8 not null default 0,
  created_at  timestamptz not null default now(),
  unique (site_id, source, tag)
);
create index bindings_signal on bindings (signal_id);

-- sources that ingest itself connects to (OPC UA servers, further brokers)
create table sources (
  source_id int generated always as identity primary key,
  site_id   int not null default current_site() references sites,
  name      text not null check (name ~ '^[A-Za-z0-9_-]{1,64}$'),
  kind      text not null,
  url       text not null,
  config    jsonb not null default '{}',
  enabled   boolean not null default true,
  unique (site_id, name)
);

-- telemetry: 24 bytes of columns a row; native time partitions with BRIN, made by plant.telemetry
create table samples (
  at        timestamptz not null,
  value     float8 not null,
  signal_id int not null,
  quality   smallint not null,
  site_id   smallint not null
) partition by range (at);

create table last_values (
  signal_id int primary key,
  site_id   int not null,
  at        timestamptz not null,
  value     float8 not null,
  quality   smallint not null,
  heard_at  timestamptz not null default now()
);

create table rollups (
  signal_id int not null,
  site_id   int not null,
  width_s   int not null check (width_s in (60, 3600)),
  bucket    timestamptz not null,
  n         int not null,
  mean      float8 not null,
  low       float8 not null,
  high      float8 not null,
  last      float8 not null,
  primary key (signal_id, width_s, bucket)
);
create index rollups_time on rollups (width_s, bucket);

create table bands (
  signal_id int not null,
  site_id   int not null default current_site(),
  at        timestamptz not null,
  expected  float8 not null,
  low       float8 not null,
  high      float8 not null,
  primary key (signal_id, at)
);

-- one row a (device, epoch, seq) message that committed: makes re-sent messages harmless
create table message_ledger (
  site_id   int not null,
  source    text not null,
  epoch     text not null,
  seq       bigint not null,
  samples   int not null,
  stored_at timestamptz not null default now(),
  primary key (site_id, source, epoch, seq)
);

-- of an old epoch only this is left: every message up to `through` is stored, and its ledger rows are gone
create table ledger_marks (
  site_id  int not null,
  source   text not null,
  epoch    text not null,
  through  bigint not null,
  messages bigint not null,
  samples  bigint not null,
  primary key (site_id, source, epoch)
);

-- what a flush touched, one row a stretch of time: what the rollups and last values have to look at again
create table ingest_batches (
  batch_id    bigint generated always as identity primary key,
  min_at      timestamptz not null,
  max_at      timestamptz not null,
  signals     int[], -- null = any
  samples     int not null,
  quarantined int not null default 0,
  duplicates  int not null default 0,
  stored_at   timestamptz not null default now(),
  rolled      boolean not null default false
);
create index ingest_batches_open on ingest_batches (batch_id) where not rolled;

create table quarantine (
  quarantine_id bigint generated always as identity primary key,
  site_id       int not null,
  reason        text not null,
  source        text not null,
  tag           text not null default '',
  topic         text not null default '',
  payload       bytea not null default '',
  detail        text not null default '',
  readings      int not null default 1,
  heard_at      timestamptz not null default now(),
  settled_at    timestamptz,
  settled_as    text check (settled_as in ('released', 'dismissed'))
);
create index quarantine_open on quarantine (site_id, reason, source, tag) where settled_at is null;

-- one row a source, written by ingest about once a second: rate, lag, what was refused
create table source_status (
  site_id        int not null references sites,
  source         text not null,
  kind           text not null default 'mqtt',
  state          text not null default 'heard' check (state in ('heard', 'connected', 'lost')),
  detail         text not null default '',
  last_heard_at  timestamptz, -- wall time
  last_sample_at timestamptz, -- plant time, the sample's own
  lag_s          float8, -- plant time of arrival minus the sample's own, newest message
  rate           float8 not null default 0, -- samples a second, over the last seconds
  messages       bigint not null default 0, -- counts since the source was first heard
  samples        bigint not null default 0,
  quarantined    bigint not null default 0,
  duplicates     bigint not null default 0,
  unsequenced    bigint not null default 0, -- messages without epoch and seq: at least once
  updated_at     timestamptz not null default now(),
  primary key (site_id, source)
);

-- ingest reads bindings into memory and hears when they change
create function tell_plant_changed() returns trigger language plpgsql as $$
begin
  perform pg_notify('millwright_plant', tg_table_name);
  return null;
end $$;
create trigger tell after insert or update or delete on sites for each statement execute function tell_plant_changed();
create trigger tell after insert or update or delete on devices for each statement execute function tell_plant_changed();
create trigger tell after insert or update or delete on signals for each statement execute function tell_plant_changed();
create trigger tell after insert or update or delete on bindings for each statement execute function tell_plant_changed();
create trigger tell after insert or update or delete on sources for each statement execute function tell_plant_changed();

-- judgement

create table detector_state (
  asset_id     int not null references assets,
  site_id      int not null default current_site(),
  detector     text not null,
  version      text not null,
  watermark_us bigint not null,
  state        bytea not null,
  saved_at     timestamptz not null default now(),
  primary key (asset_id, detector)
);

create table asset_watermarks (
  asset_id     int primary key references assets,
  site_id      int not null default current_site(),
  watermark_us bigint not null
);

create table detector_requests (
  request_id bigint generated always as identity primary key,
  site_id    int not null default current_site(),
  asset_id   int not null references assets,
  action     text not null check (action in ('relearn', 'intervention')), -- intervention: keep the baseline, forget the evidence
  at         timestamptz not null,
  done_at    timestamptz
);

create table findings (
  finding_id    bigint generated always as identity primary key,
  site_id       int not null default current_site(),
  asset_id      int not null references assets,
  detector      text not null,
  version       text not null,
  kind          text not null check (kind in ('machine', 'sensor')),
  mode          text,
  subject       text not null default '', -- id of the signal that says most: two sensors may fail at once
  started_at    timestamptz not null,
  at            timestamptz not null,
  surprise      float8 not null,
  active        boolean not null,
  health        float8 not null,
  contributions jsonb not null,
  sentence      jsonb not null,
  unique (asset_id, detector, kind, at, active, subject)
);
create index findings_asset on findings (asset_id, at);

-- maintenance

create table alarms (
  alarm_id      int generated always as identity primary key,
  site_id       int not null default current_site(),
  asset_id      int not null references assets,
  kind          text not null check (kind in ('machine', 'sensor')),
  mode          text not null,
  state         text not null default 'active' check (state in ('active', 'acknowledged', 'shelved', 'cleared')),
  detector      text not null,
  severity      smallint not null default 2 check (severity between 1 and 4),
  started_at    timestamptz not null, -- since when the deviation lasts
  raised_at     timestamptz not null, -- when it was detected
  last_at       timestamptz not null,
  deviating_since timestamptz not null, -- this time without a break
  cleared_at    timestamptz,
  acked_by      text,
  acked_at      timestamptz,
  shelved_until timestamptz,
  shelved_by    text,
  shelve_reason text,
  surprise      float8 not null,
  health        float8 not null,
  findings      int not null default 1,
  returns       int not null default 0, -- how often it came back after it had ended: chatter
  returned_at   timestamptz, -- since when nothing deviates; null = deviating
  deviating     jsonb not null default '[]', -- detectors whose finding is active
  contributions jsonb not null default '{}',
  sentence      jsonb not null default '{}',
  diagnosis     jsonb not null default '[]',
  ticket_id     int
);
create unique index alarms_one_open on alarms (asset_id, kind, mode) where state <> 'cleared';
create index alarms_recent on alarms (site_id, raised_at desc);

create table health_points (
  alarm_id int not null references alarms,
  site_id  int not null default current_site(),
  detector text not null,
  at       timestamptz not null,
  health   float8 not null,
  primary key (alarm_id, detector, at)
);

create table predictions (
  prediction_id  int generated always as identity primary key,
  site_id        int not null default current_site(),
  asset_id       int not null references assets,
  alarm_id       int not null references alarms,
  mode           text not null,
  made_at        timestamptz not null,
  p10_h          float8,
  p50_h          float8,
  p90_h          float8,
  p_fail_horizon float8,
  horizon_h      float8 not null,
  health         float8 not null,
  risk           float8 not null default 0,
  cost_planned   float8 not null default 0,
  cost_failure   float8 not null default 0,
  currency       text not null default 'EUR',
  model          text not null,
  version        text not null
);
create index predictions_alarm on predictions (alarm_id, made_at desc);

create table decisions (
  decision_id   int generated always as identity primary key,
  site_id       int not null default current_site(),
  asset_id      int not null references assets,
  alarm_id      int not null references alarms,
  prediction_id int references predictions,
  at            timestamptz not null,
  action        text not null check (action in ('open', 'update', 'wait', 'none')),
  reasons       jsonb not null,
  ticket_id     int
);
create index decisions_alarm on decisions (alarm_id, at desc);

create table verifications (
  ticket_id  int primary key,
  site_id    int not null default current_site(),
  asset_id   int not null references assets,
  mode       text not null,
  alarm_id   int references alarms,
  started_at timestamptz not null,
  deadline   timestamptz not null,
  status     text not null default 'running' check (status in ('running', 'healthy', 'unhealthy', 'needs_person')),
  attempt    int not null default 1,
  evidence   jsonb not null default '{}',
  checked_at timestamptz,
  settled_at timestamptz
);

create table verdicts (
  verdict_id   int generated always as identity primary key,
  site_id      int not null default current_site(),
  ticket_id    int not null,
  alarm_id     int references alarms,
  asset_id     int not null references assets,
  detector     text not null,
  mode         text not null,
  verdict      text not null check (verdict in ('confirmed', 'other_fault', 'nothing_found', 'sensor')),
  failure_code text,
  given_by     text not null,
  given_at     timestamptz not null,
  unique (ticket_id, alarm_id)
);

-- a person has said that an alarm is none: it is not sent again for a while, unless it grows
create table mutes (
  mute_id       int generated always as identity primary key,
  site_id       int not null default current_site(),
  asset_id      int not null references assets,
  kind          text not null check (kind in ('machine', 'sensor')),
  mode          text not null,
  contributions jsonb not null default '{}',
  why           text not null check (why in ('nothing_found', 'rejected')),
  health        float8 not null,
  ticket_id     int not null,
  made_at       timestamptz not null,
  until         timestamptz not null,
  unique (ticket_id, kind, mode)
);
create index mutes_asset on mutes (asset_id, until);

-- tickets

create table engineers (
  engineer_id int generated always as identity primary key,
  site_id     int not null default current_site() references sites,
  user_id     int references users,
  name        text not null,
  skills      jsonb not null default '{}', -- skill → level 1..3
  active      boolean not null default true,
  unique (site_id, user_id)
);

create table shifts (
  shift_id    int generated always as identity primary key,
  site_id     int not null default current_site() references sites,
  engineer_id int not null references engineers,
  weekday     smallint not null check (weekday between 0 and 6), -- Monday = 0, in the site's time zone
  starts      time not null,
  ends        time not null -- ends <= starts: into the next day
);

create table calendars (
  calendar_id int generated always as identity primary key,
  site_id     int not null default current_site() references sites,
  name        text not null,
  timezone    text not null default 'UTC',
  hours       jsonb not null, -- {"0": [["08:00", "17:00"]], …}; Monday = 0
  holidays    jsonb not null default '[]', -- ["2026-12-25", …]
  unique (site_id, name)
);

create table sla_policies (
  sla_policy_id  int generated always as identity primary key,
  site_id        int not null default current_site() references sites,
  kind           text not null, -- ticket kind, or '*'
  priority       smallint not null check (priority between 1 and 5),
  calendar_id    int not null references calendars,
  response_s     int not null check (response_s > 0),
  resolution_s   int not null check (resolution_s > 0),
  warn_fraction  float8 not null default 0.8 check (warn_fraction > 0 and warn_fraction < 1),
  unique (site_id, kind, priority)
);

create table lifecycles (
  lifecycle_id int generated always as identity primary key,
  site_id      int not null default current_site() references sites,
  kind         text not null,
  version      int not null default 1,
  definition   jsonb not null,
  active       boolean not null default true,
  unique (site_id, kind, version)
);

create table ref_counters (
  site_id int not null default current_site() references sites,
  prefix  text not null,
  year    int not null,
  last    int not null,
  primary key (site_id, prefix, year)
);

create table tickets (
  ticket_id     int generated always as identity primary key,
  site_id       int not null default current_site() references sites,
  ref           text not null,
  kind          text not null check (kind in ('request', 'incident', 'corrective', 'preventive', 'inspection', 'sensor-fault')),
  status        text not null,
  priority      smallint not null default 3 check (priority between 1 and 5), -- 1 = most urgent
  title         text not null check (length(title) between 1 and 300),
  description   text not null default '',
  asset_id      int references assets,
  mode          text,
  channel       text not null default 'web',
  requester_id  int references users,
  assignee_id   int references engineers,
  skill         text,
  opened_at     timestamptz not null,
  respond_by    timestamptz,
  resolve_by    timestamptz,
  responded_at  timestamptz,
  done_at       timestamptz,
  closed_at     timestamptz,
  held_from     text, -- the state that on_hold goes back to
  hold_reason   text,
  verdict       text check (verdict in ('confirmed', 'other_fault', 'nothing_found', 'sensor')),
  failure_code  text,
  fields        jsonb not null default '{}',
  lifecycle_id  int references lifecycles, -- null = the built-in definition
  assignment_reasons jsonb not null default '[]',
  version       int not null default 1,
  event_count   int not null default 0,
  head_hash     bytea not null default '',
  unique (site_id, ref)
);
-- one fault, one order
create unique index tickets_one_open on tickets (site_id, asset_id, mode)
  where asset_id is not null and mode is not null and status not in ('closed', 'cancelled');
create index tickets_list on tickets (site_id, status, ticket_id desc);
create index tickets_assignee on tickets (assignee_id) where status not in ('closed', 'cancelled');
create index tickets_asset on tickets (asset_id);

create table ticket_events (
  event_id   bigint generated always as identity primary key,
  site_id    int not null default current_site(),
  ticket_id  int not null references tickets,
  seq        int not null,
  at         timestamptz not null,
  actor_kind text not null check (actor_kind in ('person', 'rule', 'detector', 'agent', 'system')),
  actor_id   int,
  actor_name text not null,
  kind       text not null,
  audience   text not null default 'internal' check (audience in ('internal', 'requester')),
  body       jsonb not null,
  prev_hash  bytea not null,
  hash       bytea not null,
  unique (ticket_id, seq)
);

create table sla_clocks (
  clock_id    int generated always as identity primary key,
  site_id     int not null default current_site(),
  ticket_id   int not null references tickets,
  kind        text not null check (kind in ('response', 'resolution')),
  calendar_id int references calendars, -- null = around the clock
  target_s    float8 not null check (target_s > 0),
  basis       text not null default 'policy' check (basis in ('policy', 'forecast')), -- what set the target
  warn_fraction float8 not null,
  used_s      float8 not null default 0, -- consumed before running_since
  running_since timestamptz, -- null = paused or stopped
  due_at      timestamptz,
  warn_at     timestamptz,
  warned_at   timestamptz,
  breached_at timestamptz,
  stopped_at  timestamptz,
  generation  int not null default 1, -- a timer of an older generation does nothing
  unique (ticket_id, kind)
);
create index sla_clocks_due on sla_clocks (site_id, warn_at) where running_since is not null and breached_at is null;

create table articles (
  article_id  int generated always as identity primary key,
  site_id     int not null default current_site() references sites,
  code        text not null,
  asset_class text not null default '',
  mode        text not null default '',
  title       jsonb not null, -- language → text
  body        jsonb not null, -- language → Markdown
  updated_at  timestamptz not null default now(),
  unique (site_id, code)
);
create index articles_for on articles (site_id, asset_class, mode);

create table notifications (
  notification_id int generated always as identity primary key,
  site_id    int not null default current_site(),
  user_id    int not null references users,
  ticket_id  int references tickets,
  key        text not null, -- an effect happens once: its idempotency key
  kind       text not null,
  body       jsonb not null,
  at         timestamptz not null,
  read_at    timestamptz,
  unique (site_id, user_id, key)
);

create table idempotency (
  site_id   int not null default current_site(),
  user_id   int not null,
  key       text not null check (length(key) between 1 and 200),
  request   bytea not null, -- hash of method, path and body
  status    int not null,
  body      jsonb not null,
  headers   jsonb not null default '{}',
  made_at   timestamptz not null default now(),
  primary key (site_id, user_id, key)
);

-- partitions belong to the owner; ingest may ask for one. Partitions carry no policy, since COPY is refused on a table
-- with row-level security: only the ingest role may insert, everyone else reads the parent, which has one.
create function ensure_sample_partition(day date) returns void language plpgsql security definer
  set search_path = pg_catalog, public as $$
declare name text := 'samples_' || to_char(day, 'YYYYMMDD');
begin
  if to_regclass('public.' || name) is not null then return; end if;
  perform pg_advisory_xact_lock(hashtext(name));
  if to_regclass('public.' || name) is not null then return; end if;
  execute format('create table public.%I (like public.samples including defaults including constraints)', name);
  execute format('create index on public.%I using brin (at) with (pages_per_range = 16, autosummarize = on)', name);
  execute format('grant select, insert on public.%I to millwright_ingest', name);
  execute format('alter table public.samples attach partition public.%I for values from (%L) to (%L)',
    name, day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC');
end $$;
revoke all on function ensure_sample_partition(date) from public;
grant execute on function ensure_sample_partition(date) to millwright_ingest;

-- retention: whole days go at once; returns how many
create function drop_sample_partitions(before date) returns int language plpgsql security definer
  set search_path = pg_catalog, public as $$
declare found record; dropped int := 0;
begin
  for found in
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'public.samples'::regclass and c.relname ~ '^samples_[0-9]{8}$'
      and to_date(right(c.relname, 8), 'YYYYMMDD') < before
  loop
    execute format('drop table public.%I', found.relname);
    dropped := dropped + 1;
  end loop;
  return dropped;
end $$;
revoke all on function drop_sample_partitions(date) from public;
grant execute on function drop_sample_partitions(date) to millwright_ingest;

-- grants and policies

grant usage on schema public to millwright_app, millwright_ingest;
grant select, insert, update, delete on all tables in schema public to millwright_app;
grant usage, select on all sequences in schema public to millwright_app;
-- the timeline is append-only, and samples enter by the ingest lane alone
revoke update, delete on ticket_events from millwright_app;
revoke insert, update, delete on samples, last_values, rollups, message_ledger, ledger_marks, ingest_batches, source_status
  from millwright_app;
grant select on sites, plant_clock, devices, assets, signals, bindings, sources to millwright_ingest;
grant select, insert on samples, message_ledger, ingest_batches, quarantine to millwright_ingest;
grant update on quarantine to millwright_ingest;
grant select, insert, update on last_values, rollups, ledger_marks, source_status to millwright_ingest;
grant delete on message_ledger, ingest_batches, rollups to millwright_ingest;
grant update (rolled) on ingest_batches to millwright_ingest;
grant usage, select on all sequences in schema public to millwright_ingest;

do $$
declare t text;
begin
  for t in
    select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'public' and c.relkind in ('r', 'p') and not c.relispartition
      and exists (select 1 from pg_attribute a where a.attrelid = c.oid and a.attname = 'site_id' and not a.attisdropped)
      and c.relname not in ('sites', 'memberships')
  loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy site on %I to millwright_app using (site_id = (select current_site())) with check (site_id = (select current_site()))', t);
  end loop;
  -- ingest hears all sites at once: it may see and write just these
  foreach t in array array['devices', 'assets', 'signals', 'bindings', 'sources', 'samples', 'message_ledger', 'ledger_marks',
                           'quarantine', 'last_values', 'rollups', 'source_status'] loop
    execute format('create policy ingest on %I to millwright_ingest using (true) with check (true)', t);
  end loop;
end $$;
