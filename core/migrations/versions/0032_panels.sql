-- every movement of a shelf (a part in a store) names the one before it; what moved before has no seq and is not covered
alter table stock_moves
  add column seq       int check (seq >= 1),
  add column on_hand   float8, -- after it
  add column reserved  float8,
  add column prev_hash bytea,
  add column hash      bytea;
create unique index stock_moves_chain on stock_moves (store_id, part_id, seq) where seq is not null;
alter table stock_levels
  add column moves     int not null default 0 check (moves >= 0),
  add column head_hash bytea not null default '';
create index stock_moves_ticket on stock_moves (ticket_id, move_id) where ticket_id is not null;

-- a renewed secret and the one before it sign side by side for a day; a settled message may be sent again by hand
alter table webhook_endpoints add column old_secret text, add column old_until timestamptz; -- of the wall
alter table webhook_deliveries add column replays int not null default 0 check (replays >= 0);
