"""Storage: object stores, ranges of bytes, atomic writes, and the Delta tables on top of them."""
