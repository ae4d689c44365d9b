"""Results out: what each destination gets, one file per kind of peer."""
