-- maintenance policies with their versions, the moment that was weighed for each prediction, the planner's review queue

create table maintenance_policies (
  policy_id   int generated always as identity primary key,
  site_id     int not null default current_site() references sites,
  asset_class text not null default '*' check (length(asset_class) between 1 and 64),
  mode        text not null default '*' check (length(mode) between 1 and 128),
  asset_id    int references assets,       -- null = every asset of the class
  version     int not null default 1,
  active      boolean not null default true,
  settings    jsonb not null,              -- what differs from the policy above it; nothing = as shipped
  changed_at  timestamptz not null,
  changed_by  text not null
);
create unique index maintenance_policies_one on maintenance_policies (site_id, asset_class, mode, coalesce(asset_id, 0));

create table maintenance_policy_versions (
  policy_id  int not null references maintenance_policies,
  version    int not null,
  site_id    int not null default current_site() references sites,
  active     boolean not null,
  settings   jsonb not null,
  changed_at timestamptz not null,
  changed_by text not null,
  reason     text not null default '',
  grounds    text not null default '', -- of opening orders by itself: backtest, override; '' = nothing had to be shown
  backtest_id int, -- with the ground backtest
  primary key (policy_id, version)
);

-- what the curve of a prediction was made of: it can be drawn again, exactly, for ever
create table moments (
  prediction_id int primary key references predictions,
  site_id       int not null default current_site() references sites,
  at            timestamptz not null,
  start_at      timestamptz not null, -- the chosen moment
  what          text not null check (what in ('now', 'window', 'wait')),
  total         float8 not null,      -- expected cost at the chosen moment, in the currency of the prediction
  now_total     float8 not null,      -- … and when beginning as soon as possible
  due           boolean not null,     -- the work must be prepared before anybody looks again
  policies      jsonb not null,       -- [[policy id, version], …] from the general to the special; none = as shipped
  inputs        jsonb not null
);

create table review_items (
  review_id     int generated always as identity primary key,
  site_id       int not null default current_site() references sites,
  asset_id      int not null references assets,
  alarm_id      int not null references alarms,
  prediction_id int references predictions,
  mode          text not null,
  state         text not null default 'open' check (state in ('open', 'accepted', 'merged', 'rejected', 'ended')),
  risk          float8 not null,      -- expected loss within the horizon
  why           text not null check (why in ('policy', 'unproven', 'gate')),
  proposed_at   timestamptz not null,
  due_at        timestamptz not null, -- back in the queue from then on
  owner         text,                 -- of a snooze
  reason        text,
  decided_by    text,
  decided_at    timestamptz,
  ticket_id     int references tickets,
  version       int not null default 1
);
create unique index review_items_one on review_items (alarm_id) where state = 'open';
create index review_items_risk on review_items (site_id, state, risk desc, review_id);
create index review_items_alarm on review_items (alarm_id);

alter table decisions drop constraint decisions_action_check;
alter table decisions add constraint decisions_action_check
  check (action in ('open', 'update', 'wait', 'none', 'propose'));

-- a proposal that a planner rejects has no order
alter table verdicts alter column ticket_id drop not null;
alter table verdicts add column review_id int references review_items; -- the proposal whose rejection it is
create unique index verdicts_of_review on verdicts (review_id);
alter table mutes alter column ticket_id drop not null;

grant select, insert, update on maintenance_policies, review_items to millwright_app;
grant select, insert on maintenance_policy_versions to millwright_app;
grant select, insert, delete on moments to millwright_app;
grant usage, select on all sequences in schema public to millwright_app;

do $$
declare t text;
begin
  foreach t in array array['maintenance_policies', 'maintenance_policy_versions', 'moments', 'review_items'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy site on %I to millwright_app using (site_id = (select current_site())) with check (site_id = (select current_site()))', t);
  end loop;
end $$;
