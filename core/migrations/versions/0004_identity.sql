-- Devices' keys and certificates, and what was done to them.

alter table devices
  add column kind       text not null default 'device' check (kind in ('device', 'gateway')),
  add column signing    text not null default 'optional' check (signing in ('optional', 'required')),
  add column mac_key    bytea check (length(mac_key) = 32), -- derived from the password (edge.envelope)
  add column rotated_at timestamptz; -- when it last got a new password

-- The key opens what a device signs, so it can sign too: the app writes it and never reads it. A column added to this
-- table later must be granted to the app here or in its own migration.
revoke select on devices from millwright_app;
grant select (device_id, site_id, name, secret_hash, registered_at, revoked_at, kind, signing, rotated_at)
  on devices to millwright_app;

-- every certificate ever issued: those revoked before their end make the revocation list
create table device_certificates (
  serial      text primary key check (serial ~ '^[0-9a-f]{1,40}$'),
  site_id     int not null default current_site() references sites,
  device_id   int not null references devices,
  fingerprint text not null check (fingerprint ~ '^[0-9a-f]{64}$'), -- SHA-256 of the certificate
  issued_at   timestamptz not null default now(),
  expires_at  timestamptz not null,
  revoked_at  timestamptz
);
create index device_certificates_device on device_certificates (device_id);

-- who did what to a device, and what it tried: append-only
create table device_events (
  event_id  bigint generated always as identity primary key,
  site_id   int not null default current_site() references sites,
  device_id int not null references devices,
  at        timestamptz not null default now(), -- wall time
  actor     text not null,
  kind      text not null check (kind in ('registered', 'revoked', 'rotated', 'certificate_issued',
                                          'certificate_revoked', 'publish_denied')),
  detail    text not null default '' check (length(detail) <= 500)
);
create index device_events_at on device_events (site_id, event_id desc);
create index device_events_device on device_events (device_id, event_id desc);

-- publishes that the broker denied, a device and minute; kept for a week
create table device_denials (
  site_id   int not null references sites,
  device_id int not null references devices,
  minute    timestamptz not null, -- wall time
  count     bigint not null check (count > 0),
  topic     text not null default '', -- the last one tried
  primary key (device_id, minute)
);
create index device_denials_site on device_denials (site_id, minute);

do $$
declare t text;
begin
  foreach t in array array['device_certificates', 'device_events', 'device_denials'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy site on %I to millwright_app using (site_id = (select current_site())) with check (site_id = (select current_site()))', t);
    execute format('create policy ingest on %I to millwright_ingest using (true) with check (true)', t);
  end loop;
end $$;

grant select, insert on device_events to millwright_app;
grant select, insert, update (revoked_at) on device_certificates to millwright_app;
grant select on device_denials to millwright_app;
-- whoever runs the broker reads revocations and writes denials as the ingest role
grant select on device_certificates to millwright_ingest;
grant select, insert on device_events to millwright_ingest;
grant select, insert, update, delete on device_denials to millwright_ingest;
