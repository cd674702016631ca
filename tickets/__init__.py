"""The ticket core. Knows assets, no sensors."""
