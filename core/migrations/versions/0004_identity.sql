-- Devices' keys and certificates, and what was done to them.
select 1;
