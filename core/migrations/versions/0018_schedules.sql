-- A schedule that is paused makes no file and forgets nothing.

alter table report_schedules add column paused boolean not null default false;
