-- assets: all levels, why they matter, libraries of a site's own, and what judged orders teach the diagnosis

alter table assets drop constraint assets_level_check;
alter table assets add constraint assets_level_check
  check (level in ('enterprise', 'site', 'area', 'line', 'unit', 'equipment', 'component'));
alter table assets
  add column consequence        smallint check (consequence between 1 and 5),
  add column likelihood         smallint check (likelihood between 1 and 5),
  add column criticality_reason text not null default '',
  add column version            int not null default 1; -- what If-Match wants
create function count_asset_version() returns trigger language plpgsql as $$
begin
  new.version := old.version + 1;
  return new;
end $$;
create trigger versioned before update on assets
  for each row when (old.* is distinct from new.*) execute function count_asset_version();

create table libraries (
  library_id  int generated always as identity primary key,
  site_id     int not null default current_site() references sites,
  asset_class text not null check (asset_class ~ '^[a-z0-9_]{1,64}$'),
  version     int not null,
  document    text not null check (length(document) <= 200000), -- TOML, checked before it comes here
  sha256      text not null,
  note        text not null default '',
  made_by     text not null,
  made_at     timestamptz not null,
  retired_at  timestamptz, -- null = in force
  unique (site_id, asset_class, version)
);
create unique index libraries_in_force on libraries (site_id, asset_class) where retired_at is null;

alter table verdicts
  add column mechanism    text,
  add column cause        text,
  add column version      int not null default 0,
  add column corrected_at timestamptz,
  add column corrected_by text;
create index verdicts_detector on verdicts (detector, asset_id, mode);

create table verdict_changes ( -- append-only: who said what before
  change_id  int generated always as identity primary key,
  site_id    int not null default current_site() references sites,
  verdict_id int not null references verdicts,
  before     jsonb not null,
  after      jsonb not null,
  reason     text not null check (length(reason) between 1 and 2000),
  changed_by text not null,
  changed_at timestamptz not null
);
create index verdict_changes_verdict on verdict_changes (verdict_id);

create table judged_cases ( -- a verdict that names a failure mode, with the deviations it was given for
  verdict_id  int primary key references verdicts,
  site_id     int not null default current_site() references sites,
  asset_id    int not null references assets,
  asset_class text not null,
  mode        text not null,
  profile     jsonb not null -- signal name of the class → share with its sign, length 1
);
create index judged_cases_class on judged_cases (asset_class, mode);
create index judged_cases_asset on judged_cases (asset_id, mode);

create table learnt_modes ( -- the sums of a class's judged cases, made anew with each verdict
  site_id     int not null default current_site() references sites,
  asset_class text not null,
  mode        text not null,
  cases       int not null,
  profile     jsonb not null,
  primary key (site_id, asset_class, mode)
);

do $$
declare t text;
begin
  foreach t in array array['libraries', 'verdict_changes', 'judged_cases', 'learnt_modes'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy site on %I to millwright_app using (site_id = (select current_site())) with check (site_id = (select current_site()))', t);
  end loop;
end $$;
grant select, insert, update on libraries to millwright_app;
grant select, insert on verdict_changes to millwright_app;
grant select, insert, update, delete on judged_cases, learnt_modes to millwright_app;
grant usage, select on all sequences in schema public to millwright_app;
