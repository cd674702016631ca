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
