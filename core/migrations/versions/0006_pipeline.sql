-- How each source is doing, and what is said when one falls silent.
select 1;
