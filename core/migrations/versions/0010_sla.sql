-- the owner is under the policies too: lifted for the rows that this migration moves, set again at its end
alter table calendars no force row level security;
alter table sla_policies no force row level security;
alter table sla_clocks no force row level security;

-- people who share machines or ask together

create table teams (
  team_id int generated always as identity primary key,
  site_id int not null default current_site() references sites,
  name    text not null check (length(name) between 1 and 64),
  unique (site_id, name)
);

create table team_members (
  site_id int not null default current_site() references sites,
  team_id int not null references teams on delete cascade,
  user_id int not null references users,
  primary key (team_id, user_id)
);
create index team_members_user on team_members (user_id);

-- who looks after an asset and what is below it
create table asset_teams (
  site_id  int not null default current_site() references sites,
  asset_id int primary key references assets on delete cascade,
  team_id  int not null references teams on delete cascade
);

-- calendars: a change makes a version; a clock keeps the one it runs on

alter table calendars
  add column version    int not null default 1,
  add column is_default boolean not null default false,
  add column changed_at timestamptz not null default now(), -- plant time
  add column changed_by text not null default '';
create unique index calendars_default on calendars (site_id) where is_default;

create table calendar_versions (
  site_id     int not null default current_site() references sites,
  calendar_id int not null,
  version     int not null,
  timezone    text not null,
  hours       jsonb not null,
  holidays    jsonb not null,
  changed_at  timestamptz not null,
  changed_by  text not null,
  primary key (calendar_id, version)
);
insert into calendar_versions select site_id, calendar_id, 1, timezone, hours, holidays, now(), '' from calendars;

create function number_calendar() returns trigger language plpgsql as $$
begin
  if (new.timezone, new.hours, new.holidays) is distinct from (old.timezone, old.hours, old.holidays) then
    new.version := old.version + 1;
  else
    new.version := old.version;
  end if;
  return new;
end $$;
create trigger number_calendar before update on calendars for each row execute function number_calendar();

create function keep_calendar() returns trigger language plpgsql as $$
begin
  insert into calendar_versions values
    (new.site_id, new.calendar_id, new.version, new.timezone, new.hours, new.holidays, new.changed_at, new.changed_by)
    on conflict do nothing;
  return null;
end $$;
create trigger keep_calendar after insert or update on calendars for each row execute function keep_calendar();

-- policies: the first in order whose conditions hold; a change makes a version

alter table sla_policies
  drop constraint sla_policies_site_id_kind_priority_key,
  alter column priority drop not null,      -- null = every priority
  alter column calendar_id drop not null,   -- null = the site's default calendar
  alter column response_s drop not null,    -- null = no such clock
  alter column resolution_s drop not null,
  add column update_s   int check (update_s > 0), -- somebody says something to the requester this often
  add column code       text,
  add column name       text,
  add column position   int,
  add column conditions jsonb not null default '{}', -- criticality, areas, tags, teams
  add column marks      jsonb not null default '[{"fraction": 0.8}, {"offset_s": 0}]',
  add column pauses     jsonb,              -- reason of a hold → clocks that it pauses; null = as the life cycle says
  add column version    int not null default 1,
  add column active     boolean not null default true,
  add column changed_at timestamptz not null default now(), -- plant time
  add column changed_by text not null default '';
update sla_policies set code = replace(kind, '*', 'any') || '-' || priority,
  name = case kind when '*' then 'Priority ' || priority else initcap(kind) || ', priority ' || priority end,
  position = case kind when '*' then 1000 else 100 end + priority,
  marks = jsonb_build_array(jsonb_build_object('fraction', warn_fraction), '{"offset_s": 0}'::jsonb);
alter table sla_policies
  drop column warn_fraction,
  alter column code set not null,
  alter column name set not null,
  alter column position set not null,
  add constraint sla_policies_code unique (site_id, code),
  add constraint sla_policies_promise check (coalesce(response_s, update_s, resolution_s) is not null);

create table sla_policy_versions (
  site_id       int not null default current_site() references sites,
  sla_policy_id int not null,
  version       int not null,
  body          jsonb not null,
  changed_at    timestamptz not null,
  changed_by    text not null,
  primary key (sla_policy_id, version)
);
insert into sla_policy_versions select site_id, sla_policy_id, 1, to_jsonb(p), now(), '' from sla_policies p;

create function number_sla_policy() returns trigger language plpgsql as $$
begin
  new.version := old.version;
  if to_jsonb(new) - array['changed_at', 'changed_by', 'position'] is distinct from
     to_jsonb(old) - array['changed_at', 'changed_by', 'position'] then
    new.version := old.version + 1;
  end if;
  return new;
end $$;
create trigger number_sla_policy before update on sla_policies for each row execute function number_sla_policy();

create function keep_sla_policy() returns trigger language plpgsql as $$
begin
  insert into sla_policy_versions values
    (new.site_id, new.sla_policy_id, new.version, to_jsonb(new), new.changed_at, new.changed_by)
    on conflict do nothing;
  return null;
end $$;
create trigger keep_sla_policy after insert or update on sla_policies for each row execute function keep_sla_policy();

-- clocks: what was promised is written on the clock itself; next_at is its timer

alter table sla_clocks
  drop constraint sla_clocks_kind_check,
  add constraint sla_clocks_kind_check check (kind in ('response', 'update', 'resolution')),
  add column calendar_version int,
  add column policy_id        int,
  add column policy_version   int,
  add column terms            jsonb not null default '{}', -- name and reason of the policy, marks, pauses
  add column fired            text[] not null default '{}', -- keys of the marks that were acted on in this round
  add column next_at          timestamptz,                 -- the next mark while it runs; null = nothing to come
  add column round            int not null default 1,      -- a new one begins when the clock starts from nothing
  add column breaches         int not null default 0;      -- rounds that were breached
update sla_clocks set
  calendar_version = case when calendar_id is null then null else 1 end,
  terms = jsonb_build_object('marks', jsonb_build_array(
    jsonb_build_object('fraction', warn_fraction), '{"offset_s": 0}'::jsonb)),
  fired = case when warned_at is null then '{}' else array[round((warn_fraction * 100)::numeric, 6)::float8 || '%'] end
    || case when breached_at is null then '{}' else array['+0s'] end,
  next_at = case when running_since is null or breached_at is not null then null
                 when warned_at is null then warn_at else due_at end,
  breaches = case when breached_at is null then 0 else 1 end;
drop index sla_clocks_due;
alter table sla_clocks drop column warn_fraction, drop column warn_at, drop column warned_at;
create index sla_clocks_next on sla_clocks (site_id, next_at) where next_at is not null;

-- timers are rows now: what waits in the queue is void
delete from pgqueuer where entrypoint in ('sla.warn', 'sla.breach');

grant select, insert, update, delete on teams, team_members, asset_teams to millwright_app;
grant select, insert on calendar_versions, sla_policy_versions to millwright_app;
grant usage, select on all sequences in schema public to millwright_app;

do $$
declare t text;
begin
  foreach t in array array['teams', 'team_members', 'asset_teams', 'calendar_versions', 'sla_policy_versions'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy site on %I to millwright_app using (site_id = (select current_site())) with check (site_id = (select current_site()))', t);
  end loop;
end $$;
alter table calendars force row level security;
alter table sla_policies force row level security;
alter table sla_clocks force row level security;
