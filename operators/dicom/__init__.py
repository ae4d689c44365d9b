"""Encoders of DICOM objects: SR, SEG, PDF, secondary capture, key objects, presentation state."""
