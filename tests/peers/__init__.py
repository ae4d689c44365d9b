"""Real DICOM peers for tests: Orthanc and DCMTK."""
