"""Data of one parcel or location: sources (lake or REST server), chips of scenes, and basemaps."""
