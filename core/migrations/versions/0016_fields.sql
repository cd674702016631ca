-- What a site adds to its tickets, how tickets belong together, who follows them, and what has to be approved.

create table field_definitions (
  field_id      int generated always as identity primary key,
  site_id       int not null default current_site() references sites,
  key           text not null check (key ~ '^[a-z][a-z0-9_]{0,47}$'),
  label         jsonb not null, -- language → text
  type          text not null check (type in ('text', 'long_text', 'number', 'integer', 'boolean', 'date', 'datetime',
                                              'choice', 'multi_choice', 'asset', 'person', 'url')),
  unit          text not null default '',
  low           float8,
  high          float8,
  choices       jsonb not null default '[]', -- [{"value": …, "label": {language: text}}]
  kinds         text[] not null default '{}', -- of tickets; empty = every kind
  required      text not null default 'never' check (required in ('never', 'open', 'transition')),
  required_to   text[] not null default '{}', -- the states of required = 'transition'
  default_value jsonb, -- json null = none
  audience      text not null default 'internal' check (audience in ('internal', 'requester')),
  position      int not null default 0,
  retired_at    timestamptz,
  created_at    timestamptz not null default now(),
  unique (site_id, key)
);
create trigger marked after insert or update or delete on field_definitions
  for each row execute function mark_definitions();

-- Fields as rows, to filter by: an index on the JSON itself would not be used under row-level security, since its
-- operators are not leakproof. The trigger keeps them; texts that are longer than a line are for the search.
create table ticket_field_values (
  site_id   int not null default current_site() references sites,
  ticket_id int not null references tickets,
  key       text not null,
  value     text not null,
  number    float8,
  primary key (ticket_id, key, value)
);
create index ticket_field_values_equal on ticket_field_values (site_id, key, value, ticket_id);
create index ticket_field_values_between on ticket_field_values (site_id, key, number, ticket_id) where number is not null;

create function keep_field_values() returns trigger language plpgsql as $$
begin
  if tg_op = 'UPDATE' then
    delete from ticket_field_values where ticket_id = new.ticket_id;
  end if;
  insert into ticket_field_values (site_id, ticket_id, key, value, number)
    select new.site_id, new.ticket_id, field.key, item.value #>> '{}',
           case when jsonb_typeof(item.value) = 'number' then (item.value #>> '{}')::float8 end
    from jsonb_each(new.fields) field
    cross join lateral (
      select field.value where jsonb_typeof(field.value) <> 'array'
      union all
      select each.value
      from jsonb_array_elements(case jsonb_typeof(field.value) when 'array' then field.value else '[]' end) each
    ) item
    where field.key not in ('title_zh', 'description_zh', 'alarm_id')
      and jsonb_typeof(item.value) in ('string', 'number', 'boolean') and length(item.value #>> '{}') <= 300
    on conflict do nothing;
  return null;
end $$;
create trigger field_values_new after insert on tickets for each row
  when (new.fields <> '{}') execute function keep_field_values();
create trigger field_values_changed after update of fields on tickets for each row
  when (new.fields is distinct from old.fields) execute function keep_field_values();

create table ticket_links (
  link_id    int generated always as identity primary key,
  site_id    int not null default current_site() references sites,
  from_id    int not null references tickets,
  kind       text not null check (kind in ('relates', 'blocks', 'duplicates', 'caused_by', 'converted_from', 'split_from')),
  to_id      int not null references tickets,
  made_at    timestamptz not null,
  made_by    text not null,
  unique (from_id, kind, to_id),
  check (from_id <> to_id)
);
create index ticket_links_to on ticket_links (to_id);
-- a request becomes one order
create unique index ticket_links_one_order on ticket_links (to_id) where kind = 'converted_from';

create table ticket_watchers (
  site_id   int not null default current_site() references sites,
  ticket_id int not null references tickets,
  user_id   int not null references users,
  why       text not null check (why in ('asked', 'mentioned', 'merged', 'converted', 'named')),
  since     timestamptz not null,
  primary key (ticket_id, user_id)
);
create index ticket_watchers_user on ticket_watchers (user_id);

create table approvals (
  approval_id int generated always as identity primary key,
  site_id     int not null default current_site() references sites,
  ticket_id   int not null references tickets,
  key         text not null, -- the same demand made twice is one
  why         jsonb not null, -- language → text
  role        text,
  user_id     int references users,
  demanded_by text not null,
  demanded_at timestamptz not null,
  state       text not null default 'pending' check (state in ('pending', 'approved', 'declined')),
  decided_by  text,
  decided_at  timestamptz,
  reason      text not null default '',
  unique (ticket_id, key),
  check ((role is null) <> (user_id is null))
);
create index approvals_waiting on approvals (site_id, approval_id) where state = 'pending';

-- The last door behind the verbs' own: whatever writes a ticket, it does not get past an approval that is not given.
create function refuse_unapproved() returns trigger language plpgsql as $$
begin
  if exists (select 1 from approvals where ticket_id = new.ticket_id and state <> 'approved') then
    raise exception 'ticket % waits for an approval', new.ref using errcode = 'check_violation';
  end if;
  return new;
end $$;
create trigger approved before update of status on tickets for each row
  when (new.status is distinct from old.status
        and new.status not in ('new', 'approved', 'on_hold', 'reopened', 'cancelled'))
  execute function refuse_unapproved();

create table failure_codes (
  code_id     int generated always as identity primary key,
  site_id     int not null default current_site() references sites,
  part        text not null check (part in ('mode', 'mechanism', 'cause')),
  code        text not null check (code ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'),
  asset_class text not null default '', -- '' = of every class
  name        jsonb not null, -- language → text
  retired_at  timestamptz,
  unique (site_id, part, asset_class, code)
);

create table cost_lines (
  line_id   int generated always as identity primary key,
  site_id   int not null default current_site() references sites,
  ticket_id int not null references tickets,
  kind      text not null check (kind in ('contractor', 'travel', 'rental', 'material', 'other')),
  amount    float8 not null check (amount > -1e9 and amount < 1e9),
  note      text not null default '',
  made_by   text not null,
  made_at   timestamptz not null
);
create index cost_lines_ticket on cost_lines (ticket_id);

do $$
declare t text;
begin
  foreach t in array array['field_definitions', 'ticket_field_values', 'ticket_links', 'ticket_watchers', 'approvals',
                           'failure_codes', 'cost_lines'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy site on %I to millwright_app using (site_id = (select current_site())) with check (site_id = (select current_site()))', t);
    execute format('grant select, insert, update, delete on %I to millwright_app', t);
  end loop;
end $$;
grant usage, select on all sequences in schema public to millwright_app;
