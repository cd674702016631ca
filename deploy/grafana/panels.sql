-- Read-only views for panels (Grafana and the like). Run once as a superuser on the plant's database, again after each
-- upgrade; the same again changes nothing:
--
--   psql "$ADMIN_DSN" -f deploy/grafana/panels.sql
--   psql "$ADMIN_DSN" -c "select panels.admit('grafana_north', 'a long password', 'north')"
--
-- A reader is a role of its own, bound to one site: whatever SQL a panel sends, row-level security shows that site alone.
-- It may read these views' columns and nothing else: no names of people, no comments, no secrets.

begin;

do $$ begin
  if not exists (select from pg_roles where rolname = 'millwright_panels') then
    create role millwright_panels nologin nosuperuser nobypassrls;
  end if;
end $$;

create schema if not exists panels;
revoke all on schema panels from public;
grant usage on schema panels, public to millwright_panels;

create table if not exists panels.readers (
  role_name name primary key,
  site_id   int not null references public.sites
);

create or replace function panels.site() returns int language sql stable security definer
  set search_path = pg_catalog, pg_temp
  as $$ select site_id from panels.readers where role_name = session_user $$;
revoke all on function panels.site() from public;
grant execute on function panels.site() to millwright_panels;

-- a new reader, or another password or site for one that is there
create or replace function panels.admit(reader text, password text, site_code text) returns void language plpgsql as $$
declare chosen int;
begin
  select site_id into strict chosen from public.sites where code = site_code;
  if reader like 'millwright\_%' or reader like 'pg\_%' or length(password) < 12 then
    raise exception 'A reader has a name of its own and a password of at least 12 characters.';
  end if;
  if not exists (select from pg_roles where rolname = reader) then
    execute format('create role %I', reader);
  elsif not exists (select from panels.readers where role_name = reader) then
    raise exception 'The role % is there already and no reader.', reader;
  end if;
  execute format('alter role %I login inherit nosuperuser nobypassrls nocreatedb nocreaterole connection limit 10'
    ' password %L', reader, password);
  execute format('alter role %I set default_transaction_read_only = on', reader);
  execute format('alter role %I set statement_timeout = ''15s''', reader);
  execute format('grant millwright_panels to %I', reader);
  execute format('grant connect on database %I to %I', current_database(), reader);
  insert into panels.readers values (reader, chosen) on conflict (role_name) do update set site_id = excluded.site_id;
end $$;
revoke all on function panels.admit(text, text, text) from public;

do $$
declare t text;
begin
  foreach t in array array['assets', 'signals', 'rollups', 'alarms', 'tickets', 'sla_clocks'] loop
    execute format('drop policy if exists panels on public.%I', t);
    execute format('create policy panels on public.%I for select to millwright_panels'
      ' using (site_id = (select panels.site()))', t);
  end loop;
end $$;

grant select (asset_id, site_id, code, name, class, criticality, location) on public.assets to millwright_panels;
grant select (signal_id, site_id, asset_id, code, name, quantity, unit) on public.signals to millwright_panels;
grant select (signal_id, site_id, width_s, bucket, n, mean, low, high, last) on public.rollups to millwright_panels;
grant select (alarm_id, site_id, asset_id, kind, mode, state, severity, raised_at, cleared_at, surprise, health)
  on public.alarms to millwright_panels;
grant select (ticket_id, site_id, ref, kind, status, priority, title, asset_id, mode, opened_at, respond_by, resolve_by,
  responded_at, done_at, closed_at, cost, downtime_s) on public.tickets to millwright_panels;
grant select (site_id, ticket_id, kind, target_s, used_s, due_at, breached_at, stopped_at, running_since)
  on public.sla_clocks to millwright_panels;

drop view if exists panels.signal_minutes, panels.alarms, panels.tickets, panels.sla, panels.work_days;

-- "time" is what panels filter by; mean, low and high in the signal's unit
create view panels.signal_minutes with (security_invoker) as
  select r.bucket as time, a.code as asset, s.code as signal, s.name, s.unit, r.mean, r.low, r.high, r.last, r.n
  from public.rollups r join public.signals s using (signal_id) join public.assets a on a.asset_id = s.asset_id
  where r.width_s = 60;

create view panels.alarms with (security_invoker) as
  select l.raised_at as time, l.alarm_id, a.code as asset, l.kind, l.mode, l.state, l.severity, l.cleared_at, l.surprise,
    l.health, l.state <> 'cleared' as is_open
  from public.alarms l join public.assets a using (asset_id);

-- cost in the site's currency, downtime in seconds
create view panels.tickets with (security_invoker) as
  select t.opened_at as time, t.ref, t.kind, t.status, t.priority, t.title, a.code as asset, t.mode, t.respond_by,
    t.resolve_by, t.responded_at, t.done_at, t.closed_at, t.cost, t.downtime_s,
    t.status not in ('closed', 'cancelled') as is_open
  from public.tickets t left join public.assets a using (asset_id);

create view panels.sla with (security_invoker) as
  select k.due_at as time, t.ref, k.kind as clock, k.target_s, k.used_s, k.due_at, k.breached_at, k.stopped_at,
    k.breached_at is not null as is_breached, k.running_since is not null as is_running
  from public.sla_clocks k join public.tickets t using (ticket_id);

-- indicators as sums by day (UTC) of closing, which any span adds up: mean time to repair = repair_s / closed; the
-- figures with their rules (production time, censored spans) are those of GET /indicators
create view panels.work_days with (security_invoker) as
  select date_trunc('day', t.closed_at at time zone 'UTC') at time zone 'UTC' as time, count(*) as closed,
    count(*) filter (where t.kind in ('preventive', 'inspection')) as planned,
    count(*) filter (where t.closed_at <= t.resolve_by) as in_time,
    sum(extract(epoch from coalesce(t.done_at, t.closed_at) - t.opened_at))::float8 as repair_s,
    sum(t.downtime_s)::float8 as downtime_s, sum(t.cost)::float8 as cost
  from public.tickets t where t.status = 'closed' and t.closed_at is not null and t.kind <> 'request' group by 1;

grant select on panels.signal_minutes, panels.alarms, panels.tickets, panels.sla, panels.work_days to millwright_panels;

commit;
