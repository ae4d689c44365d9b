"""Engines beside Osteon's own: networks of others, asked by us and read by us."""
