-- windows with cost and weekly patterns, job plans, meters, preventive plans and what became of every occurrence

-- a row is a single stretch (begins, ends) or a weekly pattern in wall time of its zone
alter table production_windows
  alter column begins drop not null,
  alter column ends drop not null,
  add column kind        text not null default 'window' check (kind in ('window', 'shutdown')),
  add column cost_h      float8 not null default 0 check (cost_h >= 0), -- what an hour of standing costs then
  add column version     int not null default 1,
  add column zone        text,
  add column weekdays    smallint[], -- Monday = 0
  add column opens_min   smallint check (opens_min between 0 and 1439),
  add column lasts_min   smallint check (lasts_min between 1 and 10080),
  add column every_weeks smallint check (every_weeks between 1 and 52),
  add column first_day   date,
  add column last_day    date check (last_day >= first_day),
  add check ((weekdays is null) = (begins is not null)),
  add check ((begins is null) = (ends is null)),
  add check ((weekdays is null) = (zone is null) and (weekdays is null) = (opens_min is null)
    and (weekdays is null) = (lasts_min is null) and (weekdays is null) = (first_day is null)
    and (weekdays is null) = (every_weeks is null));

-- what an hour of standing costs outside of windows, of an asset and what is below it
create table stop_costs (
  asset_id int primary key references assets,
  site_id  int not null default current_site() references sites,
  cost_h   float8 not null check (cost_h >= 0)
);

-- somebody takes it upon themselves that an order is worked on outside of its machine's windows
create table window_overrides (
  ticket_id int primary key references tickets,
  site_id   int not null default current_site() references sites,
  user_id   int references users,
  by_name   text not null check (by_name <> ''),
  reason    text not null check (reason <> ''),
  made_at   timestamptz not null
);

create table work_permits (
  ticket_id int primary key references tickets,
  site_id   int not null default current_site() references sites,
  user_id   int references users,
  by_name   text not null check (by_name <> ''),
  note      text not null default '',
  given_at  timestamptz not null
);

create table job_plans (
  job_plan_id int generated always as identity primary key,
  site_id     int not null default current_site() references sites,
  code        text not null check (length(code) between 1 and 64),
  revision    int not null,
  state       text not null default 'active' check (state in ('active', 'retired')),
  body        jsonb not null,
  made_at     timestamptz not null,
  by_name     text not null,
  unique (site_id, code, revision)
);

-- the revision that an order was given; a code once an order
create table ticket_job_plans (
  ticket_id   int not null references tickets,
  code        text not null,
  site_id     int not null default current_site() references sites,
  job_plan_id int not null references job_plans,
  applied_at  timestamptz not null,
  by_name     text not null,
  primary key (ticket_id, code)
);
create index ticket_job_plans_code on ticket_job_plans (code, ticket_id);

-- parts that one order needs beside the kit of its machine and mode
create table ticket_kits (
  ticket_id int not null references tickets,
  part_id   int not null references parts,
  site_id   int not null default current_site() references sites,
  quantity  float8 not null check (quantity > 0),
  primary key (ticket_id, part_id)
);

-- the machines of an order that is about several
create table ticket_assets (
  ticket_id int not null references tickets,
  asset_id  int not null references assets,
  site_id   int not null default current_site() references sites,
  primary key (ticket_id, asset_id)
);
create index ticket_assets_asset on ticket_assets (asset_id, ticket_id);

create table meters (
  meter_id     int generated always as identity primary key,
  site_id      int not null default current_site() references sites,
  asset_id     int not null references assets,
  code         text not null check (length(code) between 1 and 64),
  name         text not null,
  unit         text not null check (length(unit) between 1 and 16),
  way          text not null check (way in ('by_hand', 'counter', 'running_hours')),
  signal_id    int references signals,
  watermark_at timestamptz, -- samples up to here are counted
  running      boolean not null default false, -- the state at the watermark
  arrivals_seen bigint, -- of late arrivals, up to which they are counted; null = none was there yet
  version      int not null default 1,
  unique (asset_id, code),
  check ((way = 'by_hand') = (signal_id is null))
);

-- ``value`` as read; ``total`` goes on when a meter is replaced or starts again
create table meter_readings (
  meter_id int not null references meters,
  at       timestamptz not null,
  site_id  int not null default current_site() references sites,
  value    float8 not null check (value >= 0),
  total    float8 not null check (total >= 0),
  by_name  text not null,
  primary key (meter_id, at)
);

create table pm_plans (
  plan_id  int generated always as identity primary key,
  site_id  int not null default current_site() references sites,
  code     text not null check (length(code) between 1 and 64),
  version  int not null default 1,
  state    text not null default 'active' check (state in ('active', 'paused', 'retired')),
  body     jsonb not null,
  since    date not null, -- what was due before is nobody's business
  cycle    int not null default 0, -- occurrences settled so far
  look_at  timestamptz not null, -- when something may be to be done
  warnings jsonb not null default '[]',
  made_at  timestamptz not null,
  by_name  text not null,
  unique (site_id, code)
);
create index pm_plans_look on pm_plans (site_id, look_at) where state <> 'retired';

create table pm_plan_assets (
  plan_id  int not null references pm_plans,
  asset_id int not null references assets,
  site_id  int not null default current_site() references sites,
  place    int not null, -- the order of the route
  primary key (plan_id, asset_id)
);
create index pm_plan_assets_asset on pm_plan_assets (asset_id);

-- what became of every due day of a plan: an order, or the reason why there is none. One a cycle and one a day, whoever looks.
create table pm_occurrences (
  occurrence_id bigint generated always as identity primary key,
  site_id       int not null default current_site() references sites,
  plan_id       int not null references pm_plans,
  cycle         int not null,
  due           date not null,
  state         text not null check (state in ('opened', 'suppressed', 'missed')),
  reason        jsonb not null, -- {key, …}
  ticket_id     int references tickets,
  readings      jsonb not null default '{}', -- meter → total when it was settled
  recorded_at   timestamptz not null,
  unique (plan_id, cycle),
  unique (plan_id, due),
  check ((state = 'opened') = (ticket_id is not null))
);
create index pm_occurrences_ticket on pm_occurrences (ticket_id) where ticket_id is not null;

-- the plan's work was done: by its own order, by a bigger plan's, by a repair, or by hand
create table pm_completions (
  completion_id bigint generated always as identity primary key,
  site_id       int not null default current_site() references sites,
  plan_id       int not null references pm_plans,
  ticket_id     int references tickets,
  done_at       timestamptz not null,
  way           text not null check (way in ('order', 'bigger', 'repair', 'person')),
  readings      jsonb not null default '{}',
  by_name       text not null default '',
  unique (plan_id, ticket_id)
);
create index pm_completions_plan on pm_completions (plan_id, done_at);
create index pm_completions_ticket on pm_completions (ticket_id) where ticket_id is not null;

do $$
declare t text;
begin
  foreach t in array array['stop_costs', 'window_overrides', 'work_permits', 'job_plans', 'ticket_job_plans',
    'ticket_kits', 'ticket_assets', 'meters', 'meter_readings', 'pm_plans', 'pm_plan_assets', 'pm_occurrences',
    'pm_completions'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy site on %I to millwright_app using (site_id = (select current_site())) with check (site_id = (select current_site()))', t);
    execute format('grant select, insert, update, delete on %I to millwright_app', t);
  end loop;
end $$;
grant usage, select on all sequences in schema public to millwright_app;
