-- A text is looked for from the newest part of the list backwards: the index knows each ticket's part (65,536 numbers),
-- so that a page of what is neither common nor rare needs the last parts alone, however many there are.
do $$ begin
  create extension if not exists btree_gin;
  drop index if exists tickets_text;
  create index tickets_text on tickets using gin (
    (ticket_id >> 16), (ref || ' ' || title || ' ' || description) gin_trgm_ops);
exception when insufficient_privilege or undefined_file or undefined_object or feature_not_supported then
  raise notice 'btree_gin is not to be had: a text is looked for in all parts at once';
end $$;

drop function ticket_matches(text, int, int);
-- Numbers of tickets before this one whose text fits, newest first: at least `enough` unless there are no more.
create function ticket_matches(pattern text, before int, enough int) returns setof int
  language plpgsql stable security definer
  set search_path = pg_catalog, public set enable_seqscan = off set enable_indexscan = off as $$
declare
  mine  int := current_site();
  part  int;
  seen  int := 0;
  more  int;
begin
  select least(before, max(ticket_id) + 1) into before from tickets where site_id = mine;
  part := (before - 1) >> 16;
  for turn in 1..2 loop
    exit when part < 0 or seen >= enough;
    return query execute
      'with found as materialized (
         select ticket_id from tickets
         where site_id = $1 and (ref || '' '' || title || '' '' || description) ilike $2
           and ticket_id >> 16 = $3 and ticket_id < $4)
       select ticket_id from found order by ticket_id desc'
      using mine, pattern, part, before;
    get diagnostics more = row_count;
    seen := seen + more;
    part := part - 1;
  end loop;
  if part >= 0 and seen < enough then
    return query execute
      'with found as materialized (
         select ticket_id from tickets
         where site_id = $1 and (ref || '' '' || title || '' '' || description) ilike $2 and ticket_id < $3)
       select ticket_id from found order by ticket_id desc limit $4'
      using mine, pattern, (part + 1) << 16, enough - seen;
  end if;
end $$;
revoke all on function ticket_matches(text, int, int) from public;
grant execute on function ticket_matches(text, int, int) to millwright_app;

select 1;

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
