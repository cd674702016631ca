-- Retention tiers, waveforms, and the time-series engine where the server has one.

-- what the store can do on this server, feature by feature; written by settle_store() at every migrate
create table store_features (
  name       text primary key,
  is_on      boolean not null,
  code       text not null,
  detail     text not null default '',
  settled_at timestamptz not null default now()
);

create function note_store_feature(feature text, is_on boolean, code text, detail text default '') returns void
  language sql as $$
  insert into store_features (name, is_on, code, detail) values ($1, $2, $3, left($4, 500))
  on conflict (name) do update
    set is_on = excluded.is_on, code = excluded.code, detail = excluded.detail, settled_at = now()
$$;

-- is there a row in any day's partition? (The parent would tell the owner nothing: its policy binds the owner too.)
create function native_samples_exist() returns boolean language plpgsql as $$
declare part regclass; found boolean := false;
begin
  for part in select inhrelid::regclass from pg_inherits where inhparent = to_regclass('public.samples') loop
    execute format('select exists (select from %s)', part) into found;
    if found then return true; end if;
  end loop;
  return false;
end $$;

-- Samples in a hypertable, read through a view: TimescaleDB refuses a columnstore on a table with row-level security,
-- and COPY is refused by the policy. The barrier keeps one site's rows from another; nobody but ingest writes.
create function make_hypertable(extension_schema text) returns void language plpgsql as $$
begin
  drop table public.samples;
  create table public.sample_store (
    at        timestamptz not null,
    value     float8 not null,
    signal_id int not null,
    quality   smallint not null,
    site_id   smallint not null
  );
  execute format('select %1$I.create_hypertable(''public.sample_store'', %1$I.by_range(''at'', interval ''1 day''),'
    ' create_default_indexes => false)', extension_schema);
  create index sample_store_at on public.sample_store using brin (at) with (pages_per_range = 128, autosummarize = on);
  create view public.samples with (security_barrier) as
    select at, value, signal_id, quality, site_id from public.sample_store
    where site_id = (select current_site())
      -- and, as behind a policy, whoever hears all sites or stands above all policies
      or (select r.rolname = 'millwright_ingest' or r.rolsuper or r.rolbypassrls from pg_roles r where r.rolname = current_user);
  grant insert on public.sample_store to millwright_ingest;
  grant select on public.samples to millwright_app, millwright_ingest;
end $$;

create function settle_columnstore(extension_schema text) returns void language plpgsql as $$
declare word text; refused text;
begin
  execute 'alter table public.sample_store set (timescaledb.enable_columnstore = true,'
    ' timescaledb.segmentby = ''signal_id'', timescaledb.orderby = ''at'')';
  perform note_store_feature('columnstore', true, 'on');
  word := current_setting('timescaledb.enable_direct_compress_copy', true);
  perform note_store_feature('direct_compress', word is not null, case when word is null then 'too_old' else 'on' end);
  begin -- what came in too small batches, and late data, are compressed when their day is over
    execute format('call %I.add_columnstore_policy(''public.sample_store'', after => interval ''1 day'','
      ' if_not_exists => true)', extension_schema);
    perform note_store_feature('columnstore_policy', true, 'on');
  exception when others then
    get stacked diagnostics refused = message_text;
    perform note_store_feature('columnstore_policy', false, 'refused', refused);
  end;
end $$;

-- Decide by what the server has, one feature after another; the same again changes nothing.
create function settle_store() returns void language plpgsql as $$
declare
  home text; version text; offered text; refused text;
  licence text := current_setting('timescaledb.license', true);
  feature text;
begin
  select n.nspname, e.extversion into home, version
    from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'timescaledb';
  if version is null then
    select default_version into offered from pg_available_extensions where name = 'timescaledb';
    perform note_store_feature('hypertable', false, case when offered is null then 'not_installed' else 'not_created' end,
      coalesce(offered, ''));
  elsif to_regclass('public.sample_store') is not null then
    perform note_store_feature('hypertable', true, 'on', version);
  elsif native_samples_exist() then
    perform note_store_feature('hypertable', false, 'native_samples', version);
  else
    begin
      perform make_hypertable(home);
      perform note_store_feature('hypertable', true, 'on', version);
    exception when others then
      get stacked diagnostics refused = message_text;
      perform note_store_feature('hypertable', false, 'refused', refused);
    end;
  end if;
  if to_regclass('public.sample_store') is null then
    foreach feature in array array['columnstore', 'direct_compress', 'columnstore_policy'] loop
      perform note_store_feature(feature, false, 'no_hypertable');
    end loop;
  elsif licence is distinct from 'timescale' then
    foreach feature in array array['columnstore', 'direct_compress', 'columnstore_policy'] loop
      perform note_store_feature(feature, false, 'licence', coalesce(licence, ''));
    end loop;
  else
    begin
      perform settle_columnstore(home);
    exception when others then
      get stacked diagnostics refused = message_text;
      foreach feature in array array['columnstore', 'direct_compress', 'columnstore_policy'] loop
        perform note_store_feature(feature, false, 'refused', refused);
      end loop;
    end;
  end if;
  -- ours, on every server: they stay right where raw samples are gone (docs/adr/0006)
  perform note_store_feature('continuous_aggregates', false, 'ours');
  perform note_store_feature('retention_policy', false, 'ours');
end $$;

-- partitions: a hypertable makes its own
create or replace function ensure_sample_partition(day date) returns void language plpgsql security definer
  set search_path = pg_catalog, public as $$
declare name text := 'samples_' || to_char(day, 'YYYYMMDD');
begin
  if to_regclass('public.sample_store') is not null or to_regclass('public.' || name) is not null then return; end if;
  perform pg_advisory_xact_lock(hashtext(name));
  if to_regclass('public.' || name) is not null then return; end if;
  execute format('create table public.%I (like public.samples including defaults including constraints)', name);
  execute format('create index on public.%I using brin (at) with (pages_per_range = 128, autosummarize = on)', name);
  execute format('grant select, insert on public.%I to millwright_ingest', name);
  execute format('alter table public.samples attach partition public.%I for values from (%L) to (%L)',
    name, day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC');
end $$;

-- the days that hold samples, with the table each lies in and its bytes on disk; oldest first
create function sample_days(since date default '-infinity', until date default 'infinity')
  returns table (day date, part regclass, bytes bigint) language plpgsql stable security definer
  set search_path = pg_catalog, public as $$
begin
  if to_regclass('public.sample_store') is null then
    return query
      select to_date(right(c.relname, 8), 'YYYYMMDD') as found, c.oid::regclass, pg_total_relation_size(c.oid)
      from pg_inherits i join pg_class c on c.oid = i.inhrelid
      where i.inhparent = to_regclass('public.samples') and c.relname ~ '^samples_[0-9]{8}$'
        and to_date(right(c.relname, 8), 'YYYYMMDD') between since and until
      order by found;
  else
    return query execute format(
      'select (k.range_start at time zone ''UTC'')::date as found,
         format(''%%I.%%I'', k.chunk_schema, k.chunk_name)::regclass, coalesce(s.total_bytes, 0)
       from timescaledb_information.chunks k
       left join %I.chunks_detailed_size(''public.sample_store'') s using (chunk_schema, chunk_name)
       where k.hypertable_schema = ''public'' and k.hypertable_name = ''sample_store''
         and (k.range_start at time zone ''UTC'')::date between $1 and $2 order by found',
      (select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace
       where e.extname = 'timescaledb')) using since, until;
  end if;
end $$;

-- Hold a day still against late data, and say whether all of it is in the rollups: a flush notes what it touched in the
-- transaction that stores it, so that under the lock nothing can be on its way.
create function hold_sample_day(part regclass, day date) returns boolean language plpgsql
  set search_path = pg_catalog, public as $$
begin
  execute format('lock table %s in share row exclusive mode', part);
  return not exists (select from ingest_batches where not rolled
    and min_at < (day + 1)::timestamp at time zone 'UTC' and max_at >= day::timestamp at time zone 'UTC');
end $$;

-- retention, whole days: true when the day went, false when it is not rolled yet or somebody holds it
create function drop_sample_day(gone date) returns boolean language plpgsql security definer
  set search_path = pg_catalog, public set lock_timeout = '2s' as $$
declare found record; native boolean := to_regclass('public.sample_store') is null;
begin
  if native then lock table samples in access exclusive mode; end if; -- before its part, as readers do
  select * into found from sample_days(gone, gone);
  if found.day is null or not hold_sample_day(found.part, gone) then return false; end if;
  if native then
    execute format('drop table %s', found.part);
  else
    execute format('select %I.drop_chunks(''public.sample_store'', older_than => $2, newer_than => $1)',
      (select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace
       where e.extname = 'timescaledb'))
      using gone::timestamp at time zone 'UTC', (gone + 1)::timestamp at time zone 'UTC';
  end if;
  return true;
exception when lock_not_available then return false;
end $$;

-- retention, some signals of a day, a bite at a time: natively so many pages from `place` on, in a columnstore so many
-- signals (whole batches go without being unpacked, for signal_id is what it segments by). `next` is where to go on,
-- null at the end of the day; `deleted` is null when the day is not rolled yet or somebody holds it.
create function delete_samples(gone date, ids int[], place bigint, most bigint, out deleted bigint, out next bigint)
  language plpgsql security definer set search_path = pg_catalog, public set lock_timeout = '2s' as $$
declare found record; bite int[];
begin
  select * into found from sample_days(gone, gone);
  if found.day is null then deleted := 0; return; end if;
  if not hold_sample_day(found.part, gone) then return; end if;
  if to_regclass('public.sample_store') is null then
    execute format('delete from %s where ctid >= $1 and ctid < $2 and signal_id = any($3)', found.part)
      using format('(%s,0)', place)::tid, format('(%s,0)', place + most)::tid, ids;
    get diagnostics deleted = row_count;
    if place + most < pg_relation_size(found.part) / current_setting('block_size')::int then next := place + most; end if;
  else
    select array_agg(id) into bite from (select id from unnest(ids) as id where id > place order by id limit most) as t;
    execute format('delete from %s where signal_id = any($1)', found.part) using bite;
    get diagnostics deleted = row_count;
    select max(id) into next from unnest(bite) as id;
    if not exists (select from unnest(ids) as id where id > next) then next := null; end if;
  end if;
exception when lock_not_available then deleted := null; next := null;
end $$;

-- as before 0003: every day before; for people and tests, past the tiers but never past the rollups
create or replace function drop_sample_partitions(before date) returns int language plpgsql security definer
  set search_path = pg_catalog, public as $$
declare dropped int := 0; each date;
begin
  for each in select day from sample_days(until => before - 1) loop
    if drop_sample_day(each) then dropped := dropped + 1; end if;
  end loop;
  return dropped;
end $$;

-- how long what is kept; class: '*', 'role:…' or a quantity; null = for ever. Built-in tiers hold where no row is.
create table retention_tiers (
  site_id     int not null default current_site() references sites,
  class       text not null check (length(class) between 1 and 64),
  raw_days    int check (raw_days between 1 and 36500),
  minute_days int check (minute_days between 1 and 36500),
  hour_days   int check (hour_days between 1 and 36500),
  wave_days   int check (wave_days between 1 and 36500),
  primary key (site_id, class),
  -- what is coarser lives at least as long; null sorts after every number
  check (raw_days is not null or minute_days is null),
  check (minute_days is not null or hour_days is null),
  check (raw_days <= minute_days),
  check (minute_days <= hour_days)
);

-- through which day a class's samples are gone, so that no day is searched twice, and how far the next day is
create table retention_marks (
  site_id    int not null references sites,
  class      text not null,
  through    date not null,
  place      bigint not null default 0,
  applied_at timestamptz not null default now(),
  primary key (site_id, class)
);

create table waveforms (
  wave_id     bigint generated always as identity primary key,
  site_id     int not null references sites,
  signal_id   int not null references signals,
  at          timestamptz not null,
  rate_hz     float8 not null check (rate_hz > 0),
  n           int not null check (n > 0),
  unit        text not null,
  encoding    text not null check (encoding in ('i2', 'f4')), -- little-endian
  scale       float8 not null, -- kept * scale + shift is in the unit
  shift       float8 not null,
  payload     bytea, -- zlib; null once its days are over: the spectra stay
  features    jsonb not null,
  step_hz     float8 not null,
  spectrum    real[] not null, -- highest amplitude in each step from 0 Hz to rate / 2
  envelope    real[] not null,
  stored_at   timestamptz not null default now(),
  unique (signal_id, at) -- a wave that comes twice is kept once
);
alter table waveforms alter column payload set storage external; -- compressed already
create index waveforms_payload on waveforms (site_id, at) where payload is not null;

grant select on store_features to millwright_app, millwright_ingest;
grant select, insert, update, delete on retention_tiers to millwright_app;
grant select on retention_tiers to millwright_ingest;
grant select on retention_marks to millwright_app;
grant select, insert, update on retention_marks to millwright_ingest;
grant select on waveforms to millwright_app;
grant select, insert, update, delete on waveforms to millwright_ingest;
grant usage, select on all sequences in schema public to millwright_ingest;

do $$
declare t text;
begin
  foreach t in array array['retention_tiers', 'retention_marks', 'waveforms'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy site on %I to millwright_app using (site_id = (select current_site())) with check (site_id = (select current_site()))', t);
    execute format('create policy ingest on %I to millwright_ingest using (true) with check (true)', t);
  end loop;
  foreach t in array array['note_store_feature(text, boolean, text, text)', 'native_samples_exist()', 'make_hypertable(text)',
      'settle_columnstore(text)', 'settle_store()', 'sample_days(date, date)', 'hold_sample_day(regclass, date)',
      'drop_sample_day(date)', 'delete_samples(date, int[], bigint, bigint)'] loop
    execute format('revoke all on function %s from public', t);
  end loop;
end $$;
grant execute on function sample_days(date, date) to millwright_app, millwright_ingest;
grant execute on function drop_sample_day(date), delete_samples(date, int[], bigint, bigint) to millwright_ingest;
