-- what a replay was told goes when the samples that it would replay are gone

grant delete on replay_marks, late_arrivals to millwright_app;

-- moves of alarms are append-only while they are young; what is old may go
grant delete on alarm_moves to millwright_app;
create policy old on alarm_moves as restrictive for delete to millwright_app
  using (at < clock_timestamp() - interval '700 days');
