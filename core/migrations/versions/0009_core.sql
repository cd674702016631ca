alter table tickets
  add column parent_id   int references tickets,
  add column merged_into int references tickets,
  add column cost        float8 not null default 0 check (cost >= 0), -- in the site's currency
  add column downtime_s  float8 check (downtime_s >= 0),
  add column safety      boolean not null default false,
  add column tags        text[] not null default '{}';
create index tickets_parent on tickets (parent_id) where parent_id is not null;
create index tickets_merged on tickets (merged_into) where merged_into is not null;

-- life cycles: a published version never changes; what is being written is a draft
alter table lifecycles
  add column note         text not null default '',
  add column published_at timestamptz not null default now(),
  add column published_by text not null default '';
revoke update, delete on lifecycles from millwright_app;
grant update (active) on lifecycles to millwright_app;
create table lifecycle_drafts (
  site_id    int not null default current_site() references sites,
  kind       text not null,
  definition jsonb not null, -- may be wrong still: it is checked when it is published
  based_on   int not null check (based_on >= 0), -- the version that it was begun from; 0 = the built-in one
  revision   int not null default 1,
  changed_at timestamptz not null,
  changed_by text not null,
  primary key (site_id, kind)
);
create index tickets_lifecycle on tickets (lifecycle_id) where status not in ('closed', 'cancelled');

-- audit: a chain of Merkle roots a site; each covers the tickets whose timeline grew since the one before.
-- The number of the writing transaction says what is new: all before the oldest running one have ended.
alter table ticket_events add column txid bigint not null default (pg_current_xact_id()::text::bigint);
create index ticket_events_txid on ticket_events (site_id, txid);
create table audit_roots (
  site_id      int not null default current_site() references sites,
  seq          int not null check (seq > 0),
  at           timestamptz not null,
  horizon      bigint not null, -- covers what transactions before this one wrote
  ticket_ids   int[] not null,
  event_counts int[] not null, -- of each ticket
  head_hashes  bytea[] not null, -- of each ticket: the hash of that event
  root         bytea not null,
  prev_hash    bytea not null,
  hash         bytea not null,
  signature    bytea not null,
  primary key (site_id, seq)
);
create table audit_heads (
  site_id   int primary key default current_site() references sites,
  seq       int not null,
  hash      bytea not null,
  signature bytea not null
);

do $$
declare t text;
begin
  foreach t in array array['lifecycle_drafts', 'audit_roots', 'audit_heads'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy site on %I to millwright_app using (site_id = (select current_site())) with check (site_id = (select current_site()))', t);
  end loop;
end $$;
grant select, insert, update, delete on lifecycle_drafts to millwright_app;
grant select, insert on audit_roots to millwright_app;
grant select, insert, update on audit_heads to millwright_app;

-- lists, newest first, at a million tickets: what is open is a small part; the rest by what is asked for most
drop index tickets_asset;
create index tickets_asset on tickets (asset_id, ticket_id);
create index tickets_open on tickets (site_id, ticket_id)
  include (status, kind, priority, assignee_id, requester_id, asset_id, mode)
  where status not in ('closed', 'cancelled');
-- What the other filters look at comes along: the few that fit are found in the index, and only they are read.
create index tickets_newest on tickets (site_id, ticket_id)
  include (status, kind, priority, assignee_id, requester_id, asset_id, mode);
create index tickets_kind on tickets (site_id, kind, ticket_id)
  include (status, priority, assignee_id, requester_id, asset_id, mode);
create index tickets_priority on tickets (site_id, priority, kind, ticket_id)
  include (status, assignee_id, requester_id, asset_id, mode);
create index tickets_mode on tickets (site_id, mode, ticket_id)
  include (status, kind, priority, assignee_id, requester_id, asset_id);
create index tickets_by_assignee on tickets (site_id, assignee_id, ticket_id)
  include (status, kind, priority, requester_id, asset_id, mode);
create index tickets_by_requester on tickets (site_id, requester_id, ticket_id)
  include (status, kind, priority, assignee_id, asset_id, mode);

-- Text: an index on ILIKE is not used under row-level security, since the operator is not leakproof. So the owner looks,
-- on the caller's site alone, and tells ids; the caller reads the tickets under its own policy.
create policy search on tickets for select to current_user using (true);
do $$ begin
  create extension if not exists pg_trgm;
  create index tickets_text on tickets using gin ((ref || ' ' || title || ' ' || description) gin_trgm_ops);
exception when insufficient_privilege or undefined_file or feature_not_supported then
  raise notice 'pg_trgm is not to be had: looking for a part of a text reads every ticket';
end $$;
-- For what is rare: all of it by the text index, then the newest. What is common is found sooner by reading backwards
-- (tickets.listing asks first which it is); the planner cannot know, and guessed a scan of everything.
create function ticket_matches(pattern text, before int, most int) returns setof int
  language plpgsql stable security definer
  set search_path = pg_catalog, public set enable_seqscan = off set enable_indexscan = off as $$
begin
  return query execute
    'with found as materialized (
       select ticket_id from tickets
       where site_id = $1 and (ref || '' '' || title || '' '' || description) ilike $2 and ticket_id < $3)
     select ticket_id from found order by ticket_id desc limit $4'
    using current_site(), pattern, before, most;
end $$;
revoke all on function ticket_matches(text, int, int) from public;
grant execute on function ticket_matches(text, int, int) to millwright_app;
