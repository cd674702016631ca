-- what a replay was told goes when the samples that it would replay are gone

grant delete on replay_marks, late_arrivals to millwright_app;

-- four eyes: who asked for an approval, or made the change that needs it, does not give it unless that was allowed
alter table approvals
  add column asked_by int[] not null default '{}', -- users
  add column own      text not null default 'refused' check (own in ('refused', 'allowed'));

-- moves of alarms are append-only while they are young; what is old may go
grant delete on alarm_moves to millwright_app;
create policy old on alarm_moves as restrictive for delete to millwright_app
  using (at < clock_timestamp() - interval '700 days');
