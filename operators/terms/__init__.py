"""Coded terms that every room shares: vertebral levels, findings, units, colours, the private scheme."""
