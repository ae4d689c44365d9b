"""What Osteon says of a study, as values: quantities, vertebrae, gates, reasons. Knows no DICOM tag."""
