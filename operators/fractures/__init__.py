"""Biomarker: heights of the vertebral bodies, and the fractures that they show."""
