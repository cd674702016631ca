"""How to hear a machine. Installs alone on a gateway: no database, no web."""
