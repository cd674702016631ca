create table jobs_done (
  effect  uuid primary key,
  name    text not null,
  done_at timestamptz not null default now()
);
create index jobs_done_at on jobs_done (done_at);

-- the queue belongs to no site: a job names its own in its payload
grant select, insert, update, delete, truncate on pgqueuer, pgqueuer_log, pgqueuer_schedules, pgqueuer_statistics, jobs_done
  to millwright_app;
grant usage, select on all sequences in schema public to millwright_app;
