-- Data that come after their time was judged.
select 1;
