-- what a replay was told goes when the samples that it would replay are gone

grant delete on replay_marks, late_arrivals to millwright_app;
