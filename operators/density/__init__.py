"""Biomarker: trabecular attenuation and bone mineral density."""
