"""What a person sees: the results in viewers that hospitals have."""
