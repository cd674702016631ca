"""One file an algorithm: a module with ``NAME`` is a detector (see ``core.registry``)."""
