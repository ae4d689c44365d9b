"""Encoders for information systems: FHIR and HL7."""
