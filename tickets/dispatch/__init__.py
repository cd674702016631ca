"""Who goes where and when: a plan of visits that keeps every hard rule, and why it is so."""
