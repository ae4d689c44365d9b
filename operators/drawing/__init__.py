"""Encoders for people: the picture and the pages of the report."""
