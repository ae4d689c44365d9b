"""Every object of a set of readings, seen by validators and readers that are not ours."""
