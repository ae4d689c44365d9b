"""Programs that measure: each prints its table, none is a test. ``python -m evidence.NAME --help``."""
