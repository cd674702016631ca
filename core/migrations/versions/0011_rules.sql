-- Automation: rules and guards with their versions, what they did, what they still have to do, and whom they tell outside.

create table rules (
  rule_id      int generated always as identity primary key,
  site_id      int not null default current_site() references sites,
  code         text not null check (code ~ '^[a-z0-9][a-z0-9._-]{0,63}$'),
  form         text not null check (form in ('rule', 'guard')),
  status       text not null default 'draft' check (status in ('draft', 'enabled', 'disabled', 'stopped', 'retired')),
  version      int not null default 1, -- of the definition
  definition   jsonb not null,
  stopped_why  text not null default '',
  rehearsed    jsonb, -- the newest dry run's figures, with the version that it ran
  unique (site_id, code)
);

-- who changed what; a version's definition is the one of the change that made it
create table rule_changes (
  change_id  int generated always as identity primary key,
  site_id    int not null default current_site() references sites,
  rule_id    int not null references rules,
  at         timestamptz not null,
  by_kind    text not null,
  by_id      int,
  by_name    text not null,
  what       text not null check (what in ('made', 'edited', 'enabled', 'disabled', 'stopped', 'retired', 'rehearsed')),
  version    int not null,
  definition jsonb, -- null = it stayed as it was
  note       text not null default ''
);
create index rule_changes_rule on rule_changes (rule_id, change_id desc);

-- processes keep the compiled rules of a site under this mark; whatever changes a rule draws a new one
create table rule_marks (
  site_id int primary key default current_site() references sites,
  mark    uuid not null default gen_random_uuid()
);
create function mark_rules() returns trigger language plpgsql as $$
begin
  insert into rule_marks (site_id) values (coalesce(new.site_id, old.site_id))
    on conflict (site_id) do update set mark = gen_random_uuid();
  return null;
end $$;
create trigger marked after insert or delete or update of code, form, status, version, definition on rules
  for each row execute function mark_rules();

create table rule_runs (
  run_id    bigint generated always as identity primary key,
  site_id   int not null default current_site() references sites,
  rule_id   int not null references rules,
  version   int not null,
  ticket_id int references tickets,
  seq       int not null, -- of the event
  event     text not null,
  at        timestamptz not null,
  outcome   text not null check (outcome in ('done', 'waiting', 'not', 'error', 'failed', 'limited', 'repeated', 'endless')),
  sentence  text not null default '',
  actions   jsonb not null default '[]',
  root      text not null, -- the event that began the chain
  depth     smallint not null,
  took_us   int not null
);
create index rule_runs_rule on rule_runs (rule_id, at desc);
create index rule_runs_ticket on rule_runs (ticket_id, run_id desc);
create index rule_runs_at on rule_runs (site_id, at);

-- actions to do later
create table rule_timers (
  timer_id  bigint generated always as identity primary key,
  site_id   int not null default current_site() references sites,
  rule_id   int not null references rules,
  version   int not null,
  path      int[] not null, -- which list of actions: the places of the schedules that lead there
  ticket_id int not null references tickets,
  seq       int not null,
  cause     jsonb not null,
  due_at    timestamptz not null,
  state     text not null default 'waiting' check (state in ('waiting', 'done', 'cancelled')),
  why       text not null default ''
);
create index rule_timers_waiting on rule_timers (site_id, due_at) where state = 'waiting';
create index rule_timers_ticket on rule_timers (ticket_id) where state = 'waiting';

-- when a rule that runs by the clock last looked at the tickets
create table rule_ticks (
  rule_id int primary key references rules,
  site_id int not null default current_site() references sites,
  at      timestamptz not null
);

create table webhook_endpoints (
  endpoint_id int generated always as identity primary key,
  site_id     int not null default current_site() references sites,
  code        text not null check (code ~ '^[a-z0-9][a-z0-9._-]{0,63}$'),
  url         text not null check (length(url) <= 2000),
  secret      text not null,
  status      text not null default 'on' check (status in ('on', 'off')),
  made_at     timestamptz not null,
  unique (site_id, code)
);

-- the outbox: written with what it tells, sent by a job
create table webhook_deliveries (
  delivery_id  bigint generated always as identity primary key,
  site_id      int not null default current_site() references sites,
  endpoint_id  int not null references webhook_endpoints,
  rule_id      int references rules,
  ticket_id    int references tickets,
  message_id   text not null,
  body         text not null,
  made_at      timestamptz not null,
  state        text not null default 'waiting' check (state in ('waiting', 'delivered', 'failed', 'refused')),
  attempts     int not null default 0,
  next_at      timestamptz,
  status_code  int,
  answer       text not null default '',
  settled_at   timestamptz,
  unique (site_id, message_id)
);
create index webhook_deliveries_endpoint on webhook_deliveries (endpoint_id, delivery_id desc);
create index webhook_deliveries_made on webhook_deliveries (site_id, made_at);

grant select, insert, update, delete on rules, rule_changes, rule_marks, rule_runs, rule_timers, rule_ticks,
  webhook_endpoints, webhook_deliveries to millwright_app;
revoke update, delete on rule_changes from millwright_app;
grant usage, select on sequence rules_rule_id_seq, rule_changes_change_id_seq, rule_runs_run_id_seq,
  rule_timers_timer_id_seq, webhook_endpoints_endpoint_id_seq, webhook_deliveries_delivery_id_seq to millwright_app;

do $$
declare t text;
begin
  foreach t in array array['rules', 'rule_changes', 'rule_marks', 'rule_runs', 'rule_timers', 'rule_ticks',
                           'webhook_endpoints', 'webhook_deliveries'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy site on %I to millwright_app using (site_id = (select current_site())) with check (site_id = (select current_site()))', t);
  end loop;
end $$;
