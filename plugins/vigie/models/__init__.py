"""The model file: parse, validate, states."""
