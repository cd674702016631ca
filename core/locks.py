"""Numbers of the advisory locks that hold for a whole database: one list, so that no two rooms take the same one.

Two parts of the program that share a number keep each other from working without a word. Locks of a site or of one
thing are named by ``hashtext('…')`` where they are taken.
"""

from __future__ import annotations

MIGRATING = 7_418_529  # the schema changes
TIMERS = 7_418_530  # who rings the timers
LEAD = 7_418_531  # which ingest process leads
ALIVE = 7_418_532  # which ingest processes live
UNNUMBERED = 7_418_533  # samples without a number, by slot
SOURCES = 7_418_534  # which process connects to sources
RETENTION = 7_418_535  # who takes old samples
FIRST = 7_418_536  # the first start of an instance
INDEXING = 7_418_541  # who indexes a site's texts
GROUPS = 7_418_543  # who makes groups of a site's alarms
FEEDS = 7_418_544  # who declares what feeds what on a site
