-- people, teams, stores, parts, kits and schedules say at which version they are, and who made it

alter table engineers
  add column version    int not null default 1, -- grows with every change of what planning knows of them
  add column changed_by text not null default '';
alter table teams
  add column version    int not null default 1,
  add column changed_by text not null default '';

alter table stores
  add column version    int not null default 1,
  add column changed_by text not null default '';
create trigger number_definition before update on stores for each row
  when (new.* is distinct from old.*) execute function number_definition();

alter table parts
  add column version    int not null default 1,
  add column changed_by text not null default '';
create trigger number_definition before update on parts for each row
  when (new.* is distinct from old.*) execute function number_definition();

alter table report_schedules
  add column version    int not null default 1, -- what the clock writes does not count
  add column changed_by text not null default '';

-- a kit is the lines of one class and mode; its version outlives them
create table kit_versions (
  site_id    int not null default current_site() references sites,
  class      text not null,
  mode       text not null,
  version    int not null default 1,
  changed_by text not null default '',
  primary key (site_id, class, mode)
);
alter table kits no force row level security;
insert into kit_versions (site_id, class, mode) select distinct site_id, class, mode from kits;
alter table kits force row level security;
alter table kit_versions enable row level security;
alter table kit_versions force row level security;
create policy site on kit_versions to millwright_app
  using (site_id = (select current_site())) with check (site_id = (select current_site()));
grant select, insert, update, delete on kit_versions to millwright_app;

alter table visits add column travel_s int not null default 0 check (travel_s >= 0); -- from the stop before, or from home

-- after a surprise a plan is proposed by itself, or adopted at once; a plan says what it answers
alter table dispatch_settings add column replanning text not null default 'propose'
  check (replanning in ('off', 'propose', 'adopt'));
alter table plans add column because jsonb not null default '[]'; -- [{cause, key, name}]
