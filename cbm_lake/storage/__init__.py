"""Storage: access to object stores, byte ranges, atomic writes, and the Delta tables built on them."""
