-- dispatch: who may do what until when, who is away, where things are, when machines may stand, and the plans made of it

alter table engineers
  add column x_m        float8 not null default 0, -- metres east and north on the site's map: where their day begins
  add column y_m        float8 not null default 0,
  add column feed_hash  bytea unique,              -- of the secret in their calendar's address; null = no feed
  add column feed_since timestamptz;

create table engineer_certificates (
  certificate_id int generated always as identity primary key,
  site_id        int not null default current_site() references sites,
  engineer_id    int not null references engineers,
  code           text not null check (length(code) between 1 and 64),
  valid_until    timestamptz, -- null = for ever
  unique (engineer_id, code)
);

create table absences (
  absence_id  int generated always as identity primary key,
  site_id     int not null default current_site() references sites,
  engineer_id int not null references engineers,
  begins      timestamptz not null,
  ends        timestamptz not null check (ends > begins),
  kind        text not null default 'leave' check (kind in ('leave', 'sick', 'training', 'other')),
  note        text not null default ''
);
create index absences_engineer on absences (engineer_id, begins);

create table asset_places (
  asset_id int primary key references assets,
  site_id  int not null default current_site() references sites,
  x_m      float8 not null,
  y_m      float8 not null
);

-- when an asset (and what is below it) may stand; an asset without windows may always
create table production_windows (
  window_id int generated always as identity primary key,
  site_id   int not null default current_site() references sites,
  asset_id  int not null references assets,
  begins    timestamptz not null,
  ends      timestamptz not null check (ends > begins),
  note      text not null default ''
);
create index production_windows_asset on production_windows (asset_id, begins);

-- what planning an order needs beyond the ticket; a missing row means the defaults
create table job_needs (
  ticket_id    int primary key references tickets,
  site_id      int not null default current_site() references sites,
  duration_s   int not null default 3600 check (duration_s between 60 and 172800),
  crew         smallint not null default 1 check (crew in (1, 2)),
  level        smallint not null default 1 check (level between 1 and 3),
  certificates text[] not null default '{}',
  after        int[] not null default '{}', -- tickets
  ready_at     timestamptz -- parts are there; null = as the stock says
);

create table dispatch_settings (
  site_id        int primary key default current_site() references sites,
  routing        text not null default 'automatic' check (routing in ('automatic', 'push', 'pool')),
  frozen_hours   float8 not null default 2 check (frozen_hours between 0 and 168),
  horizon_days   int not null default 5 check (horizon_days between 1 and 14),
  travel_m_s     float8 not null default 4 check (travel_m_s between 0.1 and 50),
  kits_at_open   boolean not null default false
);

create table plans (
  plan_id     int generated always as identity primary key,
  site_id     int not null default current_site() references sites,
  status      text not null default 'planning'
    check (status in ('planning', 'draft', 'accepted', 'superseded', 'discarded', 'failed')),
  cause       text not null default 'plan' check (cause in ('plan', 'emergency', 'sickness', 'overrun')),
  base_id     int references plans, -- the plan that stood
  seconds     float8 not null,
  origin      timestamptz not null,
  horizon_s   int not null,
  maker       text,
  reason      text not null default '',
  cost        int,
  greedy_cost int,
  moved       float8 not null default 0,
  left_over   jsonb not null default '[]', -- [{ticket_id, why}]
  made_at     timestamptz not null,
  made_by     int references users,
  accepted_at timestamptz,
  accepted_by int references users
);
create unique index plans_one_accepted on plans (site_id) where status = 'accepted';

create table visits (
  visit_id    int generated always as identity primary key,
  site_id     int not null default current_site() references sites,
  plan_id     int not null references plans,
  ticket_id   int not null references tickets,
  engineer_id int not null references engineers,
  starts      timestamptz not null,
  ends        timestamptz not null check (ends > starts),
  frozen      boolean not null default false,
  change      text not null default 'new' check (change in ('new', 'same', 'moved')),
  reasons     jsonb not null default '[]',
  unique (plan_id, ticket_id, engineer_id)
);
create index visits_engineer on visits (engineer_id, starts);
create index visits_ticket on visits (ticket_id);

-- who is called outside shifts
create table on_call (
  on_call_id  int generated always as identity primary key,
  site_id     int not null default current_site() references sites,
  engineer_id int not null references engineers,
  begins      timestamptz not null,
  ends        timestamptz not null check (ends > begins)
);
create index on_call_time on on_call (site_id, begins);

-- stock

create table stores (
  store_id       int generated always as identity primary key,
  site_id        int not null default current_site() references sites,
  code           text not null check (length(code) between 1 and 64),
  name           text not null,
  allow_negative boolean not null default false,
  unique (site_id, code)
);

create table parts (
  part_id int generated always as identity primary key,
  site_id int not null default current_site() references sites,
  code    text not null check (length(code) between 1 and 64),
  name    text not null,
  unit    text not null default 'pcs',
  price   float8 not null default 0 check (price >= 0), -- of one, in the site's currency
  lead_s  int not null default 604800 check (lead_s >= 0),
  unique (site_id, code)
);

-- on hand and promised; what may not go below nothing is kept there by the check, whoever writes
create table stock_levels (
  store_id       int not null references stores,
  part_id        int not null references parts,
  site_id        int not null default current_site() references sites,
  on_hand        float8 not null default 0,
  reserved       float8 not null default 0 check (reserved >= 0),
  minimum        float8 not null default 0 check (minimum >= 0),
  target         float8 not null default 0 check (target >= 0),
  allow_negative boolean not null default false, -- the store's, so that the check can see it
  primary key (store_id, part_id),
  check (allow_negative or (on_hand >= 0 and on_hand >= reserved))
);

-- what an order has promised and used; one row a part and store
create table ticket_parts (
  ticket_id int not null references tickets,
  store_id  int not null references stores,
  part_id   int not null references parts,
  site_id   int not null default current_site() references sites,
  reserved  float8 not null default 0 check (reserved >= 0),
  consumed  float8 not null default 0 check (consumed >= 0),
  amount    float8 not null default 0, -- what the consumed ones cost
  primary key (ticket_id, store_id, part_id)
);

create table stock_moves (
  move_id   bigint generated always as identity primary key,
  site_id   int not null default current_site() references sites,
  store_id  int not null references stores,
  part_id   int not null references parts,
  ticket_id int references tickets,
  kind      text not null check (kind in ('receive', 'reserve', 'release', 'consume', 'return', 'correct')),
  quantity  float8 not null,
  price     float8 not null default 0,
  at        timestamptz not null,
  user_id   int references users
);
create index stock_moves_part on stock_moves (part_id, move_id);

create table purchase_requests (
  request_id  int generated always as identity primary key,
  site_id     int not null default current_site() references sites,
  store_id    int not null references stores,
  part_id     int not null references parts,
  quantity    float8 not null check (quantity > 0),
  status      text not null default 'open' check (status in ('open', 'ordered', 'received', 'cancelled')),
  made_at     timestamptz not null,
  expected_at timestamptz,
  settled_at  timestamptz
);
create unique index purchase_requests_one on purchase_requests (store_id, part_id) where status in ('open', 'ordered');

-- what a job of this class and mode needs; '*' is any
create table kits (
  kit_id   int generated always as identity primary key,
  site_id  int not null default current_site() references sites,
  class    text not null,
  mode     text not null,
  part_id  int not null references parts,
  quantity float8 not null check (quantity > 0),
  unique (site_id, class, mode, part_id)
);

-- what routing remembers of proven fixes: orders closed and verified, by person and failure mode
create table proven_fixes (
  engineer_id int not null references engineers,
  mode        text not null,
  site_id     int not null default current_site() references sites,
  fixes       int not null default 0,
  primary key (engineer_id, mode)
);

grant select, insert, update, delete on engineer_certificates, absences, asset_places, production_windows, job_needs,
  dispatch_settings, plans, visits, on_call, stores, parts, stock_levels, ticket_parts, purchase_requests, kits,
  proven_fixes to millwright_app;
grant select, insert on stock_moves to millwright_app; -- what was moved was moved
grant usage, select on all sequences in schema public to millwright_app;

do $$
declare t text;
begin
  foreach t in array array['engineer_certificates', 'absences', 'asset_places', 'production_windows', 'job_needs',
    'dispatch_settings', 'plans', 'visits', 'on_call', 'stores', 'parts', 'stock_levels', 'ticket_parts', 'stock_moves',
    'purchase_requests', 'kits', 'proven_fixes'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy site on %I to millwright_app using (site_id = (select current_site())) with check (site_id = (select current_site()))', t);
  end loop;
end $$;
