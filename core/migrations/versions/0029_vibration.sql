-- how fast a machine turns, how it stands, and what bearings it has
create table vibration_machines (
  asset_id        int primary key references assets,
  site_id         int not null default current_site() references sites,
  speed_rpm       float8 not null check (speed_rpm > 0),
  speed_signal_id int references signals, -- measured speed, which counts where it is heard
  power_kw        float8 check (power_kw > 0),
  shaft_height_mm float8 check (shaft_height_mm > 0),
  foundation      text check (foundation in ('rigid', 'flexible')),
  bearings        jsonb not null default '[]', -- name, turns a turn of the machine, geometry or boundary dimensions in mm
  version         int not null default 1
);
create index vibration_machines_speed on vibration_machines (speed_signal_id) where speed_signal_id is not null;
alter table vibration_machines enable row level security;
alter table vibration_machines force row level security;
create policy site on vibration_machines to millwright_app
  using (site_id = (select current_site())) with check (site_id = (select current_site()));
grant select, insert, update, delete on vibration_machines to millwright_app;
