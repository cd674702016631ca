-- Definitions that two people may change at once say at which version they are, and who made it.

create function number_definition() returns trigger language plpgsql as $$
begin
  new.version := old.version + 1;
  return new;
end $$;

alter table field_definitions
  add column version    int not null default 1, -- grows with every change
  add column changed_by text not null default '';
create trigger number_definition before update on field_definitions for each row
  when (new.* is distinct from old.*) execute function number_definition();

alter table failure_codes
  add column version    int not null default 1, -- grows with every change
  add column changed_by text not null default '';
create trigger number_definition before update on failure_codes for each row
  when (new.* is distinct from old.*) execute function number_definition();
