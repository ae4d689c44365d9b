"""The documents against the code and against each other."""
