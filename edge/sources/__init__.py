"""Ways of hearing machines. A file here is a kind of source: ``NAME`` and a class as ``edge.delivery.Source``."""
