-- remaining life: failures that happened, models learnt from them, and what became of every prediction

-- a machine failed (or was found failed); the end of a life that models learn from
create table failures (
  failure_id  int generated always as identity primary key,
  site_id     int not null default current_site() references sites,
  asset_id    int not null references assets,
  mode        text not null check (length(mode) between 1 and 200),
  failed_at   timestamptz not null,
  ticket_id   int references tickets,
  note        text not null default '' check (length(note) <= 2000),
  recorded_by text not null,
  recorded_at timestamptz not null,
  unique (asset_id, mode, failed_at)
);
create index failures_asset on failures (asset_id, failed_at);
create index failures_site on failures (site_id, failed_at desc);

-- what happened to the machine a prediction was about:
--   failed    a failure was recorded at ended_at
--   found     an order closed "confirmed": the fault was there, repaired before it failed; lived at least until then
--   censored  the order was cancelled, closed otherwise, or the alarm ended: nothing was proven but that it still ran
create table prediction_outcomes (
  prediction_id int primary key references predictions,
  site_id       int not null default current_site() references sites,
  asset_id      int not null references assets,
  asset_class   text not null,
  mode          text not null,
  model         text not null,
  version       text not null,
  alarm_id      int not null references alarms,
  outcome       text not null check (outcome in ('failed', 'found', 'censored')),
  ended_at      timestamptz not null,
  lived_h       float8 not null check (lived_h >= 0), -- from when it was made
  held          boolean,      -- inside P10..P90; null = cannot be told
  pinball_h     float8,       -- mean over P10, P50, P90; of failures alone
  place         float8,       -- P(fails before lived_h) as it said; of failures alone
  speaks        boolean not null default false, -- one of the few of its life that the model's record is read from
  failure_id    int references failures,
  ticket_id     int references tickets,
  scored_at     timestamptz not null
);
create index prediction_outcomes_model on prediction_outcomes (site_id, model, asset_class);
create index prediction_outcomes_alarm on prediction_outcomes (alarm_id);
create index prediction_outcomes_speaks on prediction_outcomes (model, asset_class, failure_id desc) where speaks;

-- models learnt from run-to-failure histories of a class; numbers alone, never code
create table life_models (
  life_model_id int generated always as identity primary key,
  site_id       int not null default current_site() references sites,
  asset_class   text not null,
  mode          text not null,
  number        int not null check (number > 0),
  format        text not null,          -- of content; another one is refused
  signals       text[] not null,        -- codes, in the order of the fit
  step_h        float8 not null check (step_h > 0),
  lives         int not null check (lives > 0),
  figures       jsonb not null default '{}',
  content       bytea not null,
  content_hash  bytea not null,
  learnt_from   text not null,          -- which failures; the same ones are not learnt from twice
  made_at       timestamptz not null,
  retired_at    timestamptz,
  unique (site_id, asset_class, mode, number)
);
create unique index life_models_one on life_models (site_id, asset_class, mode) where retired_at is null;

alter table predictions add column base_h float8[] check (cardinality(base_h) = 3); -- P10, P50, P90 before correction
alter table predictions add column scored boolean not null default false; -- it has its row in prediction_outcomes
create index predictions_waiting on predictions (alarm_id) where not scored and p50_h is not null;
grant update (base_h, scored) on predictions to millwright_app; -- base_h in the transaction that made it

do $$
declare t text;
begin
  foreach t in array array['failures', 'prediction_outcomes', 'life_models'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy site on %I to millwright_app using (site_id = (select current_site())) with check (site_id = (select current_site()))', t);
    execute format('grant select, insert, update on %I to millwright_app', t);
  end loop;
end $$;
grant usage, select on all sequences in schema public to millwright_app;

-- up to when the model of its class has looked at a machine, and since when it says that failure is near
create table life_watches (
  asset_id      int not null references assets,
  mode          text not null, -- of the model that looks: a class may have one for each of its modes
  site_id       int not null default current_site() references sites,
  looked_at     timestamptz not null,
  telling_since timestamptz,
  primary key (asset_id, mode)
);
alter table life_watches enable row level security;
alter table life_watches force row level security;
create policy site on life_watches to millwright_app
  using (site_id = (select current_site())) with check (site_id = (select current_site()));
grant select, insert, update on life_watches to millwright_app;

-- what machines wrote down of themselves (error codes), and components that were replaced: what the hazard by logs reads
create table machine_events (
  event_id  bigint generated always as identity primary key,
  site_id   int not null default current_site() references sites,
  asset_id  int not null references assets,
  at        timestamptz not null,
  kind      text not null check (kind in ('error', 'replaced')),
  code      text not null check (length(code) between 1 and 100), -- of the error; or the mode whose component is new
  told_by   text not null,
  noted_at  timestamptz not null,
  looked_at timestamptz,  -- when the hazard was asked about this error
  unique (asset_id, at, kind, code)
);
create index machine_events_waiting on machine_events (site_id, asset_id) where looked_at is null and kind = 'error';

-- components of which the hazard says that they fail within a day, until when, and when it said so last
create table event_hazards (
  asset_id int not null references assets,
  mode     text not null,
  site_id  int not null default current_site() references sites,
  since    timestamptz not null,
  at       timestamptz not null, -- the last error after which it said so
  chance   float8 not null check (chance between 0 and 1),
  said_at  timestamptz not null,
  primary key (asset_id, mode)
);
create index event_hazards_said on event_hazards (site_id, said_at);

do $$
declare t text;
begin
  foreach t in array array['machine_events', 'event_hazards'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy site on %I to millwright_app using (site_id = (select current_site())) with check (site_id = (select current_site()))', t);
  end loop;
end $$;
grant select, insert, update on machine_events to millwright_app;
grant select, insert, update, delete on event_hazards to millwright_app;
grant usage, select on all sequences in schema public to millwright_app;
