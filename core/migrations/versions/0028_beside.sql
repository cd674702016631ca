-- four eyes: who asked for an approval, or made the change that needs it, does not give it unless that was allowed
alter table approvals
  add column asked_by int[] not null default '{}', -- users
  add column own      text not null default 'refused' check (own in ('refused', 'allowed'));

-- a quantity is a multiple of it; null: what is counted comes whole, what is measured as fine as the unit resolves
alter table parts add column smallest float8 check (smallest >= 1e-9 and smallest <= 1e6);

-- which tickets a requester was shown as like the own report, so that they may add to those and to no other
create table duplicate_offers (
  site_id    int not null default current_site() references sites,
  ticket_id  int not null references tickets,
  user_id    int not null references users,
  offered_at timestamptz not null,
  primary key (user_id, ticket_id)
);
create index duplicate_offers_ticket on duplicate_offers (ticket_id);
alter table duplicate_offers enable row level security;
alter table duplicate_offers force row level security;
create policy site on duplicate_offers to millwright_app
  using (site_id = (select current_site())) with check (site_id = (select current_site()));
grant select, insert, update, delete on duplicate_offers to millwright_app;
