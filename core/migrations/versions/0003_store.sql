-- Retention tiers, waveforms, and the time-series engine where the server has one.
select 1;
