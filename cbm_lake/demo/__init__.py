"""The demonstration: a generated sample with known truth."""
