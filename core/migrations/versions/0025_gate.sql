-- what a replay needs beside samples and timelines; which detector versions may open orders, and the back-tests behind it

alter table findings add column told_at timestamptz; -- plant time at which it was acted on; null: before this was kept

-- when time did something to alarms and orders, and when late data were judged again: the input of a replay
create table replay_marks (
  mark_id   bigint generated always as identity primary key,
  site_id   int not null default current_site() references sites,
  at        timestamptz not null, -- plant time
  wall_at   timestamptz not null default clock_timestamp(),
  what      text not null check (what in ('round', 'rejudged')),
  name      text not null default '', -- of a round: its periodic job
  asset_id  int references assets, -- of a rejudged one, with the time it was judged again
  from_at   timestamptz,
  until_at  timestamptz,
  check ((what = 'rejudged') = (asset_id is not null))
);
create index replay_marks_at on replay_marks (site_id, at);

-- samples that came after their asset had been judged past their time
create table late_arrivals (
  arrival_id bigint generated always as identity primary key,
  site_id    int not null default current_site() references sites,
  asset_id   int not null references assets,
  signals    int[] not null,
  from_us    bigint not null,
  until_us   bigint not null,
  noted_at   timestamptz not null default clock_timestamp() -- wall
);
create index late_arrivals_asset on late_arrivals (asset_id, from_us);

-- what a detector's version may do; what is not named is decided by what was there before it (maintenance/gate.py)
create table gate_standings (
  gate_id    int generated always as identity primary key,
  site_id    int not null default current_site() references sites,
  detector   text not null check (length(detector) between 1 and 64),
  version    text not null check (length(version) <= 64),
  standing   text not null check (standing in ('live', 'review', 'shadow')),
  row_version int not null default 1,
  changed_by text not null,
  changed_at timestamptz not null,
  reason     text not null,
  unique (site_id, detector, version)
);

-- append-only: who let it, who stopped it, and what was known then
create table gate_changes (
  change_id  bigint generated always as identity primary key,
  site_id    int not null default current_site() references sites,
  gate_id    int not null references gate_standings,
  standing   text not null,
  changed_by text not null,
  changed_at timestamptz not null,
  reason     text not null,
  figures    jsonb not null default '{}',
  grounds    text not null default '', -- of letting it: backtest, shadow, override
  backtest_id int -- with the ground backtest
);
create index gate_changes_of on gate_changes (gate_id, change_id);

create table backtests (
  backtest_id int generated always as identity primary key,
  site_id     int not null default current_site() references sites,
  config_hash text not null,
  config      jsonb not null, -- what is judged: settings and their scope, detectors let, standings, policies in force
  from_at     timestamptz not null,
  until_at    timestamptz not null,
  state       text not null default 'waiting' check (state in ('waiting', 'running', 'done', 'failed', 'cancelled')),
  progress    real not null default 0 check (progress between 0 and 1),
  reached_at  timestamptz, -- plant time that the replay has come to
  beat_at     timestamptz, -- wall time at which the process that runs it last said so
  why         text not null default '', -- of one that failed
  result      jsonb,
  made_by     text not null,
  made_at     timestamptz not null,
  ended_at    timestamptz, -- plant time
  check ((state = 'done') = (result is not null))
);
create index backtests_of on backtests (site_id, backtest_id desc);
create index backtests_unfinished on backtests (site_id, backtest_id) where state in ('waiting', 'running');

grant select, insert on replay_marks, late_arrivals, gate_changes to millwright_app;
grant select, insert, update on gate_standings, backtests to millwright_app;
grant usage, select on all sequences in schema public to millwright_app;

do $$
declare t text;
begin
  foreach t in array array['replay_marks', 'late_arrivals', 'gate_standings', 'gate_changes', 'backtests'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy site on %I to millwright_app using (site_id = (select current_site())) with check (site_id = (select current_site()))', t);
  end loop;
end $$;
