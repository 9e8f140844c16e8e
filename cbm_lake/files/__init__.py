"""Local files: atomic and durable writes, and bounded reading of untrusted files.

Independent of lakes, parcels and scenes.
"""
