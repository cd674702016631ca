"""From finding to plan: alarms, predictions, decisions, repair verification."""
