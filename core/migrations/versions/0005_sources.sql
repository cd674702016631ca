-- Sources that ingest connects to by itself, and what their servers offer.
select 1;
