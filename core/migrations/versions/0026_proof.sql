-- evidence as it was at the opening and the closing of an order: what retention deletes later stays here

create table evidence_frozen (
  ticket_id int not null references tickets,
  what      text not null check (what in ('opened', 'closed')),
  attempt   int not null default 1 check (attempt > 0), -- an order that is opened again is closed again
  site_id   int not null default current_site() references sites,
  frozen_at timestamptz not null,
  content   bytea not null,  -- canonical JSON
  sha256    bytea not null,  -- of it, as the order's timeline says too
  primary key (ticket_id, what, attempt)
);

do $$
declare t text;
begin
  foreach t in array array['evidence_frozen'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy site on %I to millwright_app using (site_id = (select current_site())) with check (site_id = (select current_site()))', t);
    execute format('grant select, insert on %I to millwright_app', t); -- frozen is frozen
  end loop;
end $$;

-- which signed root covers a ticket newest: looking for it in the arrays of all roots takes longer with each of them
create table audit_newest (
  ticket_id int primary key references tickets,
  site_id   int not null default current_site() references sites,
  seq       int not null
);
alter table audit_roots no force row level security;
alter table tickets no force row level security;
insert into audit_newest (ticket_id, site_id, seq)
  select w.id, r.site_id, max(r.seq) from audit_roots r cross join lateral unnest(r.ticket_ids) as w(id)
  join tickets t on t.ticket_id = w.id group by 1, 2;
alter table audit_roots force row level security;
alter table tickets force row level security;
alter table audit_newest enable row level security;
alter table audit_newest force row level security;
create policy site on audit_newest to millwright_app using (site_id = (select current_site())) with check (site_id = (select current_site()));
grant select, insert, update on audit_newest to millwright_app;

create function note_audit_newest() returns trigger language plpgsql as $$
begin
  insert into audit_newest (ticket_id, site_id, seq) select w.id, new.site_id, new.seq from unnest(new.ticket_ids) as w(id)
    on conflict (ticket_id) do update set seq = greatest(audit_newest.seq, excluded.seq);
  return null;
end $$;
create trigger audit_newest after insert on audit_roots for each row execute function note_audit_newest();
