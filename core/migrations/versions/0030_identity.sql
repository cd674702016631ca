-- Second factors, passkeys, single sign-on, scopes of tokens, agents, and the record of what was done to accounts.

alter table users
  add column kind     text not null default 'person' check (kind in ('person', 'agent')),
  add column owner_id int references users, -- the person who answers for an agent
  add column handle   bytea not null unique default (uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));
-- handle: what a passkey knows the account by; it says nothing about the person

update users u set kind = 'agent'
  where exists (select 1 from memberships m where m.user_id = u.user_id)
    and not exists (select 1 from memberships m where m.user_id = u.user_id and m.role <> 'agent');

alter table memberships
  add column provider_id int; -- the sign-in provider whose claims gave this role; null = a person did

-- pending: the password was right and the second factor is still to come; invite: sets a first or forgotten password
alter table sessions drop constraint sessions_kind_check;
alter table sessions
  add constraint sessions_kind_check check (kind in ('session', 'token', 'link', 'pending', 'invite')),
  add column scopes       text[],                -- of a token: rights it is good for; null = all of its owner's
  add column method       text not null default '' check (length(method) <= 40), -- how it was signed in with
  add column confirmed_at timestamptz,           -- when the person last proved who they are
  add column tries        int not null default 0, -- wrong second factors against a pending one
  add column client       text not null default '' check (length(client) <= 200),
  add column address      text not null default '' check (length(address) <= 64);
update sessions set confirmed_at = created_at where kind = 'session';

-- Wrong tries by login, whether there is such a login or not: both take the same time and lock the same way.
create table sign_in_tries (
  login_hash   bytea primary key, -- SHA-256: what is typed into the wrong field may be a password
  failed       int not null default 0,
  told         int not null default 0, -- so many of them stand in the record
  locked_until timestamptz,
  last_at      timestamptz not null,
  last_address text not null default '' check (length(last_address) <= 64)
);

create table totp_secrets (
  user_id      int primary key references users,
  secret       bytea not null, -- sealed under the instance's key
  made_at      timestamptz not null,
  confirmed_at timestamptz,    -- null while the first code is still to come
  last_step    bigint not null default 0 -- the newest code taken: none is taken twice
);

create table recovery_codes (
  user_id   int not null references users,
  code_hash bytea not null,
  used_at   timestamptz,
  primary key (user_id, code_hash)
);

create table passkeys (
  credential_id bytea primary key check (length(credential_id) between 1 and 1023),
  user_id       int not null references users,
  public_key    bytea not null,
  sign_count    bigint not null,
  name          text not null check (length(name) between 1 and 100),
  backed_up     boolean not null,
  made_at       timestamptz not null,
  used_at       timestamptz
);
create index passkeys_user on passkeys (user_id);

-- challenges that were answered, until they would have ended by themselves: none is answered twice
create table answered_challenges (
  challenge_hash bytea primary key,
  expires_at     timestamptz not null
);

-- which roles of a site need a second factor
create table sign_in_policies (
  site_id      int primary key default current_site() references sites,
  second_roles text[] not null default '{}',
  version      int not null default 1,
  changed_at   timestamptz not null default now(),
  changed_by   text not null default ''
);

-- Single sign-on. A provider belongs to the site that declared it; every site says for itself whom it lets in by it.
create table identity_providers (
  provider_id   int generated always as identity primary key,
  site_id       int not null default current_site() references sites,
  code          text not null unique check (code ~ '^[a-z0-9][a-z0-9-]{0,31}$'),
  name          text not null check (length(name) between 1 and 100),
  issuer        text not null check (length(issuer) <= 500),
  client_id     text not null check (length(client_id) <= 300),
  client_secret bytea,  -- sealed; null = a public client
  scopes        text not null default 'openid profile email',
  login_claim   text not null default 'preferred_username',
  matching      text not null default 'none' check (matching in ('none', 'login')),
  second        text not null default 'asked' check (second in ('asked', 'trusted')),
  enabled       boolean not null default true,
  version       int not null default 1,
  changed_at    timestamptz not null default now(),
  changed_by    text not null default ''
);
alter table memberships add foreign key (provider_id) references identity_providers;

create table provider_rules (
  provider_id int not null references identity_providers on delete cascade,
  site_id     int not null default current_site() references sites,
  position    int not null,
  claim       text not null check (length(claim) between 1 and 200),
  value       text not null check (length(value) <= 500), -- '*' = any
  role        text not null check (role in ('requester', 'engineer', 'planner', 'manager', 'admin')),
  primary key (provider_id, site_id, position)
);

create table external_identities (
  provider_id int not null references identity_providers,
  subject     text not null check (length(subject) between 1 and 255),
  user_id     int not null references users,
  linked_at   timestamptz not null,
  used_at     timestamptz not null,
  primary key (provider_id, subject)
);
create index external_identities_user on external_identities (user_id);

-- what was done to accounts, one row for each site that the account belongs to: append-only
create table identity_events (
  event_id   bigint generated always as identity primary key,
  site_id    int not null references sites,
  at         timestamptz not null default now(), -- wall time
  kind       text not null check (kind ~ '^[a-z_]{1,40}$'),
  user_id    int references users, -- whose account; null = the site's own settings
  actor_id   int references users, -- null = the command line, or the product itself
  actor_kind text not null check (actor_kind in ('person', 'agent', 'system')),
  actor      text not null,
  detail     text not null default '' check (length(detail) <= 500),
  address    text not null default '' check (length(address) <= 64)
);
create index identity_events_at on identity_events (site_id, event_id desc);
create index identity_events_user on identity_events (user_id, event_id desc);

do $$
declare t text;
begin
  foreach t in array array['sign_in_policies', 'identity_providers', 'provider_rules', 'identity_events'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
  end loop;
end $$;
create policy site on sign_in_policies to millwright_app
  using (site_id = (select current_site())) with check (site_id = (select current_site()));
create policy site on identity_providers to millwright_app
  using (site_id = (select current_site())) with check (site_id = (select current_site()));
-- the door reads them before a site is known, and other sites name them in rules of their own
create policy door on identity_providers for select to millwright_app using (true);
create policy site on provider_rules to millwright_app
  using (site_id = (select current_site())) with check (site_id = (select current_site()));
create policy door on provider_rules for select to millwright_app using ((select current_site()) is null);
create policy site on identity_events for select to millwright_app using (site_id = (select current_site()));
-- an account's own acts are told to every site that it belongs to
create policy told on identity_events for insert to millwright_app with check (true);

grant select, insert, update, delete on sign_in_tries, totp_secrets, recovery_codes, passkeys, answered_challenges,
  sign_in_policies, identity_providers, provider_rules, external_identities to millwright_app;
grant select, insert on identity_events to millwright_app;
grant usage, select on sequence identity_providers_provider_id_seq, identity_events_event_id_seq to millwright_app;
