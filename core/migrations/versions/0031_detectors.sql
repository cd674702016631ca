-- limits, rates, timers and missing data that people declare
create table alarm_rules (
  rule_id      int generated always as identity primary key,
  site_id      int not null default current_site() references sites,
  code         text not null,
  definition   jsonb not null, -- detectors.classic.model.AlarmRule
  version      int not null default 1, -- counted up with each change of the definition
  row_version  int not null default 1, -- what If-Match names
  previewed    int, -- the version that somebody looked at over recorded history …
  preview      jsonb, -- … and what it would have raised
  changed_by   text not null,
  changed_at   timestamptz not null,
  retired_at   timestamptz
);
create unique index alarm_rules_code on alarm_rules (site_id, code) where retired_at is null;

-- what judged when: rows of from_at <= time < until_at, in plant time
create table alarm_rule_versions (
  version_id   int generated always as identity primary key,
  site_id      int not null default current_site() references sites,
  rule_id      int not null references alarm_rules,
  version      int not null,
  definition   jsonb not null,
  from_at      timestamptz not null,
  until_at     timestamptz check (until_at >= from_at),
  enabled_by   text not null,
  disabled_by  text
);
create index alarm_rule_versions_rule on alarm_rule_versions (rule_id);
create unique index alarm_rule_versions_one on alarm_rule_versions (rule_id) where until_at is null;

alter table alarm_rules enable row level security;
alter table alarm_rules force row level security;
create policy site on alarm_rules to millwright_app
  using (site_id = (select current_site())) with check (site_id = (select current_site()));
alter table alarm_rule_versions enable row level security;
alter table alarm_rule_versions force row level security;
create policy site on alarm_rule_versions to millwright_app
  using (site_id = (select current_site())) with check (site_id = (select current_site()));
grant select, insert, update, delete on alarm_rules, alarm_rule_versions to millwright_app;
