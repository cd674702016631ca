-- Sources that ingest connects to by itself, and what their servers offer.

alter table source_status drop constraint source_status_state_check;
alter table source_status add constraint source_status_state_check
  check (state in ('heard', 'connected', 'lost', 'misconfigured'));

grant delete on source_status to millwright_app; -- of a source that is forgotten

-- tags that a source offers (OPC UA browse, Sparkplug births), each with a guess where it belongs
create table tag_proposals (
  proposal_id  bigint generated always as identity primary key,
  site_id      int not null default current_site() references sites,
  source       text not null,
  tag          text not null check (length(tag) between 1 and 512),
  node_id      text, -- OPC UA: what a subscription needs
  path         text not null default '',
  data_type    text not null default '',
  description  text not null default '',
  heard_unit   text not null default '', -- as the source says; '' = it says none that we know
  heard_quantity text not null default '',
  unit         text not null default '',
  quantity     text not null default 'generic',
  low          float8, -- in `heard_unit`, as the source says
  high         float8,
  period_s     float8,
  asset_id     int references assets, -- the guess; null = none fits
  asset_code   text not null default '', -- the guessed asset's, or what a new one would be called
  signal_code  text not null default '',
  confidence   float8 not null default 0 check (confidence between 0 and 1),
  reasons      jsonb not null default '[]', -- codes
  seen_at      timestamptz not null default now(),
  accepted_at  timestamptz,
  dismissed_at timestamptz,
  unique (site_id, source, tag)
);

-- up to when each tag of a source is durable without a gap: from there history is read after a reconnect
create table source_marks (
  site_id    int not null references sites,
  source     text not null,
  tag        text not null,
  through_us bigint not null,
  primary key (site_id, source, tag)
);

-- stretches that a source did not hear live, and what became of them
create table source_gaps (
  site_id    int not null references sites,
  source     text not null,
  from_at    timestamptz not null,
  until_at   timestamptz not null,
  tags       int not null,
  fill       text not null check (fill in ('open', 'filled', 'marked')),
  samples    bigint not null default 0, -- that history gave
  why        text not null default '',
  told_at    timestamptz not null default now(),
  primary key (site_id, source, from_at)
);

-- a sample keeps its quality class; the full status code of its source stands here, a row a stretch that is not good
create table signal_status (
  site_id int not null references sites,
  source  text not null,
  tag     text not null,
  from_at timestamptz not null,
  code    bigint not null,
  name    text not null,
  until_at timestamptz, -- null = it lasts
  primary key (site_id, source, tag, from_at)
);

grant select, insert, update, delete on tag_proposals to millwright_app;
grant select on source_marks, source_gaps, signal_status to millwright_app;
grant delete on source_marks, source_gaps, signal_status to millwright_app;
grant select, insert, update on tag_proposals to millwright_ingest;
grant select, insert, update, delete on source_marks, source_gaps, signal_status to millwright_ingest;
grant usage, select on all sequences in schema public to millwright_app, millwright_ingest;

do $$
declare t text;
begin
  foreach t in array array['tag_proposals', 'source_marks', 'source_gaps', 'signal_status'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy site on %I to millwright_app using (site_id = (select current_site())) with check (site_id = (select current_site()))', t);
    execute format('create policy ingest on %I to millwright_ingest using (true) with check (true)', t);
  end loop;
end $$;
