-- at most so many alarms of a detector an asset and month: of the site, an asset class or one asset
create table asked_alarm_rates (
  asked_id     int generated always as identity primary key,
  site_id      int not null default current_site() references sites,
  class        text,
  asset_id     int references assets,
  alarms_month float8 not null check (alarms_month between 0.01 and 1000),
  version      int not null default 1,
  changed_by   text not null,
  changed_at   timestamptz not null,
  check (class is null or asset_id is null),
  unique nulls not distinct (site_id, class, asset_id)
);
create index asked_alarm_rates_asset on asked_alarm_rates (asset_id) where asset_id is not null;
alter table asked_alarm_rates enable row level security;
alter table asked_alarm_rates force row level security;
create policy site on asked_alarm_rates to millwright_app
  using (site_id = (select current_site())) with check (site_id = (select current_site()));
grant select, insert, update, delete on asked_alarm_rates to millwright_app;
