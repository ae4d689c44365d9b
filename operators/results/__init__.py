"""What all encoders share: identity, outlines, key slices, the table and the sentences of a reading."""
