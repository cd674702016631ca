-- Guides: what people wrote, every revision of it, which order was given which guide and why, and what came of it.

alter table articles no force row level security;

alter table articles add column classes text[] not null default '{}'; -- of assets; empty = every class
alter table articles add column modes text[] not null default '{}'; -- failure modes; empty = every mode
update articles set classes = array_remove(array[asset_class], ''), modes = array_remove(array[mode], '');
alter table articles drop column asset_class, drop column mode;
alter table articles
  add column asset_class text not null generated always as (coalesce(classes[1], '')) stored, -- the first one
  add column mode text not null generated always as (coalesce(modes[1], '')) stored,
  add column steps jsonb not null default '[]',
  add column state text not null default 'published' check (state in ('draft', 'published', 'archived')),
  add column version int not null default 1, -- grows with every change
  add column head int, -- the revision that is worked on; null = text from before revisions were kept
  add column published int, -- the revision that orders get; title, body and steps are its own
  add column offered int; -- a newer shipped text that an own one stands before
create index articles_for on articles (site_id, asset_class, mode);

alter table articles force row level security;

-- append-only
create table article_revisions (
  revision_id int generated always as identity primary key,
  site_id     int not null default current_site() references sites,
  article_id  int not null references articles,
  number      int not null check (number > 0),
  content     jsonb not null, -- classes, modes, title, body, steps
  origin      text not null check (origin in ('shipped', 'site', 'orders')),
  note        text not null default '',
  made_at     timestamptz not null,
  user_id     int references users,
  by_name     text not null,
  unique (article_id, number)
);

-- processes keep the index of a site's guides under this mark; whatever changes a guide draws a new one
create table guide_settings (
  site_id  int primary key default current_site() references sites,
  mark     uuid not null default gen_random_uuid(),
  hold_out float8 not null default 0 check (hold_out between 0 and 0.5), -- share of the orders that get no guide
  salt     text not null default gen_random_uuid()::text -- a new one draws the orders anew
);
create function mark_guides() returns trigger language plpgsql as $$
begin
  insert into guide_settings (site_id) values (coalesce(new.site_id, old.site_id))
    on conflict (site_id) do update set mark = gen_random_uuid();
  return null;
end $$;
create trigger marked after insert or update or delete on articles for each row execute function mark_guides();

-- which guides an order was given, or would have been given had it not been held out
create table article_pushes (
  push_id      int generated always as identity primary key,
  site_id      int not null default current_site() references sites,
  ticket_id    int not null references tickets,
  article_id   int not null references articles,
  revision     int not null,
  place        smallint not null, -- 1 = the best; 0 = somebody looked it up
  score        float8 not null,
  reason       jsonb not null,
  arm          text not null check (arm in ('pushed', 'held_out', 'looked_up')),
  pushed_at    timestamptz not null,
  withdrawn_at timestamptz, -- the order became another one
  opened_at    timestamptz,
  used_at      timestamptz,
  rating       smallint check (rating between 1 and 5),
  rated_at     timestamptz,
  unique (ticket_id, article_id)
);
create index article_pushes_article on article_pushes (article_id, ticket_id);
create index article_pushes_arm on article_pushes (site_id, arm, ticket_id);

grant select, insert on article_revisions to millwright_app; -- what was written stays written
grant select, insert, update on guide_settings, article_pushes to millwright_app;

do $$
declare t text;
begin
  foreach t in array array['article_revisions', 'guide_settings', 'article_pushes'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy site on %I to millwright_app using (site_id = (select current_site())) with check (site_id = (select current_site()))', t);
  end loop;
end $$;
grant usage, select on all sequences in schema public to millwright_app;
