"""Judgement of vibration: lasting rises, bearing frequencies, zones of ISO 20816-3. Pure."""
