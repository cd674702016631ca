"""The verbs of the `millwright` command, one file a family."""
