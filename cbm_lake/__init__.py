"""cbm-lake."""
