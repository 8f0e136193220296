"""The simulator that a user imports."""
