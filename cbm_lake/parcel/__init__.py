"""One parcel or place: where its data come from, windows of scenes around it, and basemaps."""
