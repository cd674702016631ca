-- alarms: how they live, what keeps them still, what they have in common, and what was done with them

alter table alarms
  add column onset_at     timestamptz, -- when this deviation is believed to have begun
  add column shelf        text not null default 'timed' check (shelf in ('timed', 'once')),
  add column told_at      timestamptz, -- when people were told of it
  add column chatter_at   timestamptz, -- when it was last found to chatter
  add column stale_at     timestamptz, -- when it was found to stand without change
  add column held         text not null default ''
    check (held in ('', 'grouped', 'suppressed', 'out_of_service', 'work', 'lockout', 'startup')),
  add column judged_from  timestamptz; -- a deviation counts from here on: work on the machine has ended
update alarms set onset_at = least(started_at, deviating_since), told_at = raised_at;
create index alarms_onset on alarms (site_id, onset_at);

-- per asset class and signal code; '' = any. What is null is taken from the next more general row
create table alarm_tunings (
  tuning_id    int generated always as identity primary key,
  site_id      int not null default current_site() references sites,
  asset_class  text not null default '',
  signal       text not null default '',
  dead_band    float8 check (dead_band >= 0 and dead_band <= 0.5), -- of health: a return within it is no new alarm
  on_delay_s   float8 check (on_delay_s >= 0 and on_delay_s <= 86400),
  off_delay_s  float8 check (off_delay_s >= 0 and off_delay_s <= 86400),
  chatter_per_minute int check (chatter_per_minute between 2 and 60),
  fleeting_s   float8 check (fleeting_s >= 0 and fleeting_s <= 3600),
  stale_h      float8 check (stale_h > 0 and stale_h <= 720),
  tell_severity smallint check (tell_severity between 0 and 4), -- people are told of this and worse; 0: of none
  version      int not null default 1,
  changed_by   text not null,
  changed_at   timestamptz not null,
  unique (site_id, asset_class, signal)
);

-- what happened to an alarm, append-only
create table alarm_moves (
  move_id  bigint generated always as identity primary key,
  site_id  int not null default current_site(),
  alarm_id int not null,
  asset_id int not null,
  at       timestamptz not null,
  what     text not null check (what in ('raised', 'back', 'normal', 'cleared', 'acknowledged', 'shelved', 'unshelved',
             'expired', 'held', 'released', 'chattering', 'stale', 'grouped', 'broke_out')),
  by       text not null default '',
  severity smallint not null,
  detail   jsonb not null default '{}'
);
create index alarm_moves_at on alarm_moves (site_id, at);
create index alarm_moves_alarm on alarm_moves (alarm_id, move_id);

create function note_alarm_move() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    insert into alarm_moves (site_id, alarm_id, asset_id, at, what, by, severity)
      values (new.site_id, new.alarm_id, new.asset_id, new.raised_at, 'raised', new.detector, new.severity);
    return null;
  end if;
  if new.returns > old.returns then
    insert into alarm_moves (site_id, alarm_id, asset_id, at, what, by, severity)
      values (new.site_id, new.alarm_id, new.asset_id, new.deviating_since, 'back', new.detector, new.severity);
  elsif old.returned_at is null and new.returned_at is not null then
    insert into alarm_moves (site_id, alarm_id, asset_id, at, what, by, severity)
      values (new.site_id, new.alarm_id, new.asset_id, new.returned_at, 'normal', new.detector, new.severity);
  end if;
  if old.state <> new.state and new.state = 'cleared' then
    insert into alarm_moves (site_id, alarm_id, asset_id, at, what, severity)
      values (new.site_id, new.alarm_id, new.asset_id, new.cleared_at, 'cleared', new.severity);
  elsif old.state <> new.state and new.state = 'acknowledged' then
    insert into alarm_moves (site_id, alarm_id, asset_id, at, what, by, severity)
      values (new.site_id, new.alarm_id, new.asset_id, new.acked_at, 'acknowledged', new.acked_by, new.severity);
  end if;
  return null;
end $$;
create trigger moved after insert or update on alarms
  for each row execute function note_alarm_move();

-- suppression by design
create table suppress_rules (
  rule_id     int generated always as identity primary key,
  site_id     int not null default current_site() references sites,
  name        text not null check (length(name) between 1 and 200),
  asset_class text not null default '', -- '' = any
  asset_id    int references assets,    -- null = any; else this asset and all below it
  mode        text not null default '', -- '' = any
  whose       text not null check (whose in ('own', 'parent', 'feeder')), -- whose state is looked at
  states      int[] not null check (cardinality(states) between 1 and 32),
  enabled     boolean not null default true,
  version     int not null default 1,
  made_by     text not null,
  made_at     timestamptz not null,
  retired_at  timestamptz
);

-- taken out of service by a person until one returns it
create table alarms_out (
  out_id      int generated always as identity primary key,
  site_id     int not null default current_site() references sites,
  asset_id    int not null references assets,
  mode        text not null default '', -- '' = every alarm of the asset
  reason      text not null check (length(reason) between 3 and 1000),
  by_whom     text not null,
  since       timestamptz not null,
  returned_by text,
  returned_at timestamptz
);
create unique index alarms_out_one on alarms_out (site_id, asset_id, mode) where returned_at is null;

-- declared lock-outs and start-ups of an asset and all below it
create table asset_works (
  work_id  int generated always as identity primary key,
  site_id  int not null default current_site() references sites,
  asset_id int not null references assets,
  kind     text not null check (kind in ('lockout', 'startup')),
  reason   text not null default '',
  by_whom  text not null,
  since    timestamptz not null,
  until    timestamptz, -- null = until somebody ends it
  ended_by text,
  check (until is null or until > since)
);
create index asset_works_asset on asset_works (asset_id, since);

-- what keeps, or kept, an alarm from opening an order
create table alarm_holds (
  hold_id  bigint generated always as identity primary key,
  site_id  int not null default current_site(),
  alarm_id int not null,
  asset_id int not null,
  kind     text not null check (kind in ('suppressed', 'out_of_service', 'work', 'lockout', 'startup')),
  ref      text not null default '', -- of the rule, the order, the lock-out
  why      jsonb not null,
  since    timestamptz not null,
  until    timestamptz
);
create unique index alarm_holds_one on alarm_holds (alarm_id) where until is null;
create index alarm_holds_since on alarm_holds (site_id, since);

-- what feeds what: power, compressed air, cooling water, network …
create table asset_feeds (
  site_id   int not null default current_site() references sites,
  asset_id  int not null references assets, -- it and all below it is fed
  feeder_id int not null references assets,
  medium    text not null check (medium in ('power', 'air', 'water', 'network', 'steam', 'hydraulic', 'material', 'other')),
  primary key (site_id, asset_id, feeder_id, medium),
  check (asset_id <> feeder_id)
);

-- alarms that began together, for a common cause
create table alarm_groups (
  group_id   int generated always as identity primary key,
  site_id    int not null default current_site() references sites,
  kind       text not null check (kind in ('machine', 'sensor')),
  asset_id   int references assets, -- what they have in common; null = the whole site
  medium     text not null default '', -- by which it is had in common; '' = the tree
  first_at   timestamptz not null,
  last_at    timestamptz not null,
  monitored  int not null, -- machines there that are watched
  expected   float8 not null, -- alarms there in such a time, as a rule
  score      float8 not null,
  profile    jsonb not null default '{}', -- what the members look like
  profiled_at timestamptz,
  ticket_id  int,
  made_at    timestamptz not null,
  ended_at   timestamptz, -- most members are back to normal
  spread_s   float8 not null default 0, -- how far apart they came back
  closed_at  timestamptz  -- nobody is held any more
);
create index alarm_groups_open on alarm_groups (site_id, first_at) where closed_at is null;

create table alarm_group_members (
  group_id  int not null references alarm_groups,
  site_id   int not null default current_site(),
  alarm_id  int not null, -- no foreign key: a member's row may be locked by its own judgement
  asset_id  int not null,
  onset_at  timestamptz not null,
  joined_at timestamptz not null,
  left_at   timestamptz,
  left_why  text check (left_why in ('persists', 'signature', 'worse', 'dissolved')),
  left_how  jsonb,
  primary key (group_id, alarm_id)
);
create index alarm_group_members_alarm on alarm_group_members (alarm_id);

-- more than ten alarms in ten minutes for one person
create table alarm_floods (
  flood_id  int generated always as identity primary key,
  site_id   int not null default current_site() references sites,
  user_id   int not null references users,
  begun_at  timestamptz not null,
  ended_at  timestamptz
);
create unique index alarm_floods_one on alarm_floods (site_id, user_id) where ended_at is null;

-- of which alarm a person was told, alone or in the summary of a flood
create table alarms_told (
  told_id  bigint generated always as identity primary key,
  site_id  int not null default current_site(),
  alarm_id int not null,
  user_id  int not null references users,
  at       timestamptz not null,
  flood_id int references alarm_floods
);
create index alarms_told_user on alarms_told (site_id, user_id, at);

do $$
declare t text;
begin
  foreach t in array array['alarm_tunings', 'alarm_moves', 'suppress_rules', 'alarms_out', 'asset_works', 'alarm_holds',
                           'asset_feeds', 'alarm_groups', 'alarm_group_members', 'alarm_floods', 'alarms_told'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy site on %I to millwright_app using (site_id = (select current_site())) with check (site_id = (select current_site()))', t);
    execute format('grant select, insert, update, delete on %I to millwright_app', t);
  end loop;
end $$;
revoke update, delete on alarm_moves from millwright_app;
grant usage, select on all sequences in schema public to millwright_app;
