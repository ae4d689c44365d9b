"""Biomarker: change since an earlier reading of the same patient."""
