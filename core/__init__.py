"""Plumbing: settings, database, jobs, clock. Knows no factory and no ticket."""
