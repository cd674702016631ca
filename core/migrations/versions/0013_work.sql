-- The work at the machine: files, checklists, labour, downtime, signatures. What is written here is never changed; a
-- correction is another row. Each write appends an event to its ticket's timeline.

-- a file of a ticket; its bytes lie in the attachments folder under their sha256
create table attachments (
  attachment_id int generated always as identity primary key,
  site_id       int not null default current_site() references sites,
  ticket_id     int not null references tickets,
  digest        bytea not null check (length(digest) = 32),
  name          text not null check (length(name) between 1 and 200), -- as the sender called it; never a path
  media         text not null, -- by its bytes
  kind          text not null check (kind in ('image', 'audio', 'video', 'document')),
  bytes         bigint not null check (bytes > 0),
  width         int,
  height        int,
  audience      text not null check (audience in ('internal', 'requester')),
  note          text not null default '',
  codes         jsonb not null default '[]', -- QR and DataMatrix codes in the picture
  user_id       int references users,
  by_name       text not null,
  taken_at      timestamptz not null, -- by the device's clock
  made_at       timestamptz not null,
  unique (ticket_id, digest, audience)
);
create index attachments_digest on attachments (site_id, digest);

-- a checklist as it is written; another revision is another row
create table checklist_templates (
  template_id int generated always as identity primary key,
  site_id     int not null default current_site() references sites,
  code        text not null check (length(code) between 1 and 64),
  revision    int not null check (revision > 0),
  asset_class text not null default '', -- '' = any
  mode        text not null default '',
  kind        text not null default '',
  title       jsonb not null,
  items       jsonb not null,
  state       text not null check (state in ('active', 'retired')), -- of the newest revision: whether orders get it
  shipped     boolean not null default false,
  made_at     timestamptz not null,
  by_name     text not null,
  unique (site_id, code, revision)
);

-- a checklist on an order, at the revision that it had then
create table checklists (
  checklist_id int generated always as identity primary key,
  site_id      int not null default current_site() references sites,
  ticket_id    int not null references tickets,
  template_id  int not null references checklist_templates,
  code         text not null,
  made_at      timestamptz not null,
  unique (ticket_id, code)
);

-- answers; the newest by device time counts
create table checklist_answers (
  answer_id    int generated always as identity primary key,
  site_id      int not null default current_site() references sites,
  checklist_id int not null references checklists,
  item         text not null,
  outcome      text not null check (outcome in ('ok', 'failed', 'not_applicable')),
  value        jsonb,
  note         text not null default '',
  photos       int[] not null default '{}', -- attachments
  client_id    text not null check (length(client_id) between 8 and 64),
  answered_at  timestamptz not null, -- by the device's clock, not after kept_at
  kept_at      timestamptz not null,
  user_id      int references users,
  by_name      text not null,
  unique (site_id, client_id)
);
create index checklist_answers_list on checklist_answers (checklist_id, item, answered_at, answer_id);

-- the one ticket that a failed line opened
create table checklist_follow_ups (
  checklist_id int not null references checklists,
  item         text not null,
  site_id      int not null default current_site() references sites,
  ticket_id    int not null references tickets,
  primary key (checklist_id, item)
);

create table labour (
  labour_id   int generated always as identity primary key,
  site_id     int not null default current_site() references sites,
  ticket_id   int not null references tickets,
  engineer_id int not null references engineers,
  began_at    timestamptz not null,
  minutes     int not null check (minutes between 1 and 1440),
  rate        float8 not null check (rate >= 0), -- an hour, in the site's currency
  cost        float8 not null check (cost >= 0),
  note        text not null default '',
  client_id   text not null check (length(client_id) between 8 and 64),
  made_at     timestamptz not null,
  by_name     text not null,
  voided_at   timestamptz,
  unique (site_id, client_id)
);
create index labour_ticket on labour (ticket_id);
alter table engineers add column hourly_rate float8 check (hourly_rate >= 0); -- null = the setting's

-- when the machine stood because of this
create table downtimes (
  downtime_id int generated always as identity primary key,
  site_id     int not null default current_site() references sites,
  ticket_id   int not null references tickets,
  began_at    timestamptz not null,
  ended_at    timestamptz not null check (ended_at > began_at),
  note        text not null default '',
  client_id   text not null check (length(client_id) between 8 and 64),
  made_at     timestamptz not null,
  by_name     text not null,
  voided_at   timestamptz,
  unique (site_id, client_id)
);
create index downtimes_ticket on downtimes (ticket_id);

create table signatures (
  signature_id int generated always as identity primary key,
  site_id      int not null default current_site() references sites,
  ticket_id    int not null references tickets,
  purpose      text not null check (purpose in ('performed', 'accepted')),
  name         text not null check (length(name) between 1 and 200), -- of who signed, who need not have an account
  strokes      text not null, -- an SVG path
  signed_seq   int not null, -- the last event before the signature
  signed_hash  bytea not null, -- and its hash, which covers all before it
  client_id    text not null check (length(client_id) between 8 and 64),
  signed_at    timestamptz not null, -- by the device's clock
  made_at      timestamptz not null,
  user_id      int references users, -- whose device it was
  by_name      text not null,
  unique (site_id, client_id)
);
create index signatures_ticket on signatures (ticket_id);

grant select, insert on attachments, checklist_answers, checklist_follow_ups, checklists, signatures to millwright_app;
grant select, insert, update on checklist_templates, labour, downtimes to millwright_app;

do $$
declare t text;
begin
  foreach t in array array['attachments', 'checklist_templates', 'checklists', 'checklist_answers', 'checklist_follow_ups',
                           'labour', 'downtimes', 'signatures'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy site on %I to millwright_app using (site_id = (select current_site())) with check (site_id = (select current_site()))', t);
  end loop;
end $$;
