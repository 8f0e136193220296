"""Numerical error, memory footprint, cycles and energy: what a report is made of."""
