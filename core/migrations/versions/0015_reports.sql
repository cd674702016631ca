-- Search. The documents and words carry no policy: under one, no index on terms would be used, since its operators are
-- not leakproof. Nobody but the functions below may touch them, and those look at the current site alone.

create table search_documents (
  site_id      int not null references sites,
  kind         text not null check (kind in ('ticket', 'asset', 'article', 'engineer')),
  object_id    int not null,
  requester_id int, -- of a ticket
  terms        tsvector not null, -- everything, for the crew; weight A: ref, title, code, name
  public_terms tsvector not null, -- what a requester may read
  primary key (site_id, kind, object_id)
);
create index search_documents_terms on search_documents using gin (terms);
create index search_documents_requester on search_documents (site_id, requester_id) where requester_id is not null;

create table search_words ( -- what a misspelt word is compared with
  site_id int not null references sites,
  word    text not null,
  grams   text[] not null,
  primary key (site_id, word)
);
create index search_words_grams on search_words using gin (grams);

create table search_dirty ( -- what changed and is not indexed yet
  dirty_id  bigint generated always as identity primary key,
  site_id   int not null default current_site(),
  kind      text not null,
  object_id int not null
);

create function search_put(ids int[], what text, requesters int[], crew text[], everybody text[]) returns void
  language sql security definer set search_path = pg_catalog, public as $$
  insert into search_documents (site_id, kind, object_id, requester_id, terms, public_terms)
  select current_site(), what, d.id, d.requester, d.crew::tsvector, d.everybody::tsvector
  from unnest(ids, requesters, crew, everybody) as d(id, requester, crew, everybody)
  order by d.id
  on conflict (site_id, kind, object_id) do update
    set requester_id = excluded.requester_id, terms = excluded.terms, public_terms = excluded.public_terms
$$;

create function search_drop(ids int[], what text) returns void
  language sql security definer set search_path = pg_catalog, public as $$
  delete from search_documents where site_id = current_site() and kind = what and object_id = any(ids)
$$;

create function search_learn(words text[], grams text[]) returns void -- grams: one text a word, by blanks
  language sql security definer set search_path = pg_catalog, public as $$
  insert into search_words (site_id, word, grams)
  select current_site(), w.word, string_to_array(w.grams, ' ') from unnest(words, grams) as w(word, grams) order by w.word
  on conflict do nothing
$$;

-- The newest first: where the newest `nearby` ids have `enough`, a common word is never read to its end; for what is
-- rarer the index of terms is asked. Planned anew for every question, since its words decide the plan.
create function search_find(what text, wanted tsquery, requester int, most int, enough int, nearby int default 3000)
  returns table (object_id int, rank real) language plpgsql stable security definer
  set search_path = pg_catalog, public as $$
declare here int := current_site(); bound int; found_rows bigint;
begin
  if here is null then return; end if;
  if requester is not null then
    return query execute
      'select d.object_id, ts_rank(d.public_terms, $2, 1) from search_documents d
       where d.site_id = $1 and d.requester_id = $3 and d.kind = $5 and d.public_terms @@ $2
       order by d.object_id desc limit $4' using here, wanted, requester, most, what;
    return;
  end if;
  select max(d.object_id) - nearby into bound from search_documents d where d.site_id = here and d.kind = what;
  return query execute
    'select d.object_id, ts_rank(d.terms, $2, 1) from search_documents d
     where d.site_id = $1 and d.kind = $4 and d.object_id > $5 and d.terms @@ $2
     order by d.object_id desc limit $3' using here, wanted, most, what, bound;
  get diagnostics found_rows = row_count;
  if found_rows < least(enough, most) and bound > 0 then
    return query execute
      'with fitting as materialized (
         select d.object_id, d.terms from search_documents d
         where d.site_id = $1 and d.kind = $4 and d.object_id <= $5 and d.terms @@ $2)
       select d.object_id, ts_rank(d.terms, $2, 1) from fitting d order by d.object_id desc limit $3'
      using here, wanted, most - found_rows, what, bound;
  end if;
end $$;

create function search_near(wanted text[], most int)
  returns table (word text, shared int) language plpgsql stable security definer
  set search_path = pg_catalog, public as $$
declare here int := current_site();
begin
  return query execute
    'select w.word, (select count(*)::int from unnest(w.grams) g where g = any($2)) as shared
     from search_words w where w.site_id = $1 and w.grams && $2
     order by 2 * (select count(*) from unnest(w.grams) g where g = any($2))::float8
       / (cardinality(w.grams) + cardinality($2)) desc, w.word limit $3' using here, wanted, most;
end $$;

revoke all on function search_put(int[], text, int[], text[], text[]), search_drop(int[], text),
  search_learn(text[], text[]), search_find(text, tsquery, int, int, int, int), search_near(text[], int) from public;
grant execute on function search_put(int[], text, int[], text[], text[]), search_drop(int[], text),
  search_learn(text[], text[]), search_find(text, tsquery, int, int, int, int), search_near(text[], int) to millwright_app;

-- what makes a document stale
create function search_touch_new() returns trigger language plpgsql as $$
begin
  if tg_table_name = 'tickets' then
    insert into search_dirty (site_id, kind, object_id) select site_id, 'ticket', ticket_id from fresh;
  elsif tg_table_name = 'ticket_events' then
    insert into search_dirty (site_id, kind, object_id)
      select distinct site_id, 'ticket', ticket_id from fresh
      where kind in ('comment', 'reported_again') or body ? 'note';
  elsif tg_table_name = 'assets' then
    insert into search_dirty (site_id, kind, object_id) select site_id, 'asset', asset_id from fresh;
  elsif tg_table_name = 'articles' then
    insert into search_dirty (site_id, kind, object_id) select site_id, 'article', article_id from fresh;
  elsif tg_table_name = 'engineers' then
    insert into search_dirty (site_id, kind, object_id) select site_id, 'engineer', engineer_id from fresh;
  end if;
  if found then perform pg_notify('millwright_search', ''); end if;
  return null;
end $$;
create function search_touch_old() returns trigger language plpgsql as $$
begin
  if tg_table_name = 'assets' then
    insert into search_dirty (site_id, kind, object_id) values (old.site_id, 'asset', old.asset_id);
  elsif tg_table_name = 'articles' then
    insert into search_dirty (site_id, kind, object_id) values (old.site_id, 'article', old.article_id);
  elsif tg_table_name = 'engineers' then
    insert into search_dirty (site_id, kind, object_id) values (old.site_id, 'engineer', old.engineer_id);
  else
    insert into search_dirty (site_id, kind, object_id) values (old.site_id, 'ticket', old.ticket_id);
  end if;
  perform pg_notify('millwright_search', '');
  return null;
end $$;
create trigger search_new after insert on tickets referencing new table as fresh
  for each statement execute function search_touch_new();
create trigger search_new after insert on ticket_events referencing new table as fresh
  for each statement execute function search_touch_new();
create trigger search_new after insert on assets referencing new table as fresh
  for each statement execute function search_touch_new();
create trigger search_new after insert on articles referencing new table as fresh
  for each statement execute function search_touch_new();
create trigger search_new after insert on engineers referencing new table as fresh
  for each statement execute function search_touch_new();
create trigger search_changed after update on tickets for each row when
  (old.event_count > 0 and (old.title, old.description, old.ref, old.fields, old.tags, old.failure_code, old.mode,
   old.requester_id, old.asset_id) is distinct from (new.title, new.description, new.ref, new.fields, new.tags,
   new.failure_code, new.mode, new.requester_id, new.asset_id)) execute function search_touch_old();
create trigger search_changed after update or delete on assets for each row execute function search_touch_old();
create trigger search_changed after update or delete on articles for each row execute function search_touch_old();
create trigger search_changed after update or delete on engineers for each row execute function search_touch_old();

insert into search_dirty (site_id, kind, object_id) select site_id, 'asset', asset_id from assets;
insert into search_dirty (site_id, kind, object_id) select site_id, 'ticket', ticket_id from tickets;
insert into search_dirty (site_id, kind, object_id) select site_id, 'article', article_id from articles;
insert into search_dirty (site_id, kind, object_id) select site_id, 'engineer', engineer_id from engineers;

-- lists: the orders that people sort by, of the tickets that they look at most
create index tickets_opened on tickets (site_id, opened_at, ticket_id);
create index tickets_closed on tickets (site_id, closed_at) where closed_at is not null;
create index tickets_open_due on tickets (site_id, resolve_by, ticket_id) where status not in ('closed', 'cancelled');
create index tickets_open_priority on tickets (site_id, priority, ticket_id) where status not in ('closed', 'cancelled');

-- processes keep what a site has defined under this mark; whatever changes a definition draws a new one
create table definition_marks (
  site_id int primary key default current_site() references sites,
  mark    uuid not null default gen_random_uuid()
);
insert into definition_marks (site_id) select site_id from sites;
create function mark_definitions() returns trigger language plpgsql as $$
begin
  insert into definition_marks (site_id) values (coalesce(new.site_id, old.site_id))
    on conflict (site_id) do update set mark = gen_random_uuid();
  return null;
end $$;
create trigger marked after insert or update or delete on lifecycles
  for each row execute function mark_definitions();
create trigger marked after insert or update or delete on sla_policies
  for each row execute function mark_definitions();
create trigger marked after insert or update or delete on calendars
  for each row execute function mark_definitions();
create trigger marked after insert or update or delete on checklist_templates
  for each row execute function mark_definitions();
create trigger marked after insert or update or delete on dispatch_settings
  for each row execute function mark_definitions();

create trigger marked after insert or update or delete on engineers
  for each row execute function mark_definitions();
create trigger marked after insert or update or delete on shifts
  for each row execute function mark_definitions();
create trigger marked after insert or update or delete on guide_settings
  for each row execute function mark_definitions();
create trigger marked after update of timezone on sites
  for each row execute function mark_definitions();

-- what people keep: views of the list, reports, dashboards
create table saved (
  saved_id   int generated always as identity primary key,
  site_id    int not null default current_site() references sites,
  kind       text not null check (kind in ('view', 'report', 'dashboard')),
  owner_id   int not null references users,
  name       text not null check (length(name) between 1 and 120),
  audience   text not null default 'private' check (audience in ('private', 'shared')),
  body       jsonb not null,
  version    int not null default 1,
  changed_at timestamptz not null,
  unique (site_id, kind, owner_id, name)
);
create table saved_defaults (
  site_id  int not null default current_site() references sites,
  user_id  int not null references users,
  kind     text not null,
  saved_id int not null references saved on delete cascade,
  primary key (site_id, user_id, kind)
);

-- scheduled reports and the files they became
create table report_schedules (
  schedule_id int generated always as identity primary key,
  site_id     int not null default current_site() references sites,
  saved_id    int not null references saved on delete cascade,
  owner_id    int not null references users,
  format      text not null check (format in ('pdf', 'xlsx', 'csv')),
  locale      text not null check (locale in ('en', 'zh')),
  every       text not null check (every in ('day', 'week', 'month')),
  hour        smallint not null check (hour between 0 and 23), -- in the site's time zone; week: Monday, month: the first
  recipients  int[] not null, -- users
  next_at     timestamptz not null,
  last_at     timestamptz,
  last_error  text
);
create index report_schedules_due on report_schedules (site_id, next_at);
create table report_files (
  file_id     int generated always as identity primary key,
  site_id     int not null default current_site() references sites,
  schedule_id int not null references report_schedules on delete cascade,
  due_at      timestamptz not null,
  made_at     timestamptz not null,
  name        text not null,
  media       text not null,
  content     bytea not null,
  unique (schedule_id, due_at)
);

-- bulk edits, kept so that they can be undone
create table bulk_changes (
  bulk_id   int generated always as identity primary key,
  site_id   int not null default current_site() references sites,
  user_id   int not null references users,
  made_at   timestamptz not null,
  changes   jsonb not null,
  results   jsonb not null, -- per ticket: version before and after, what was before
  undone_at timestamptz
);

revoke all on search_documents, search_words from millwright_app, millwright_ingest;
grant select, insert, update, delete on definition_marks, search_dirty, saved, saved_defaults, report_schedules, report_files, bulk_changes
  to millwright_app;
grant usage, select on all sequences in schema public to millwright_app;

do $$
declare t text;
begin
  foreach t in array array['definition_marks', 'search_dirty', 'saved', 'saved_defaults', 'report_schedules', 'report_files', 'bulk_changes'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy site on %I to millwright_app using (site_id = (select current_site())) with check (site_id = (select current_site()))', t);
  end loop;
end $$;
