"""Markers: agricultural events detected in the time series of each parcel, and its traffic-light colour.

find              all markers of a parcel set, written into the lake
looks             how many observations of parcels are clear, and why the others are not
traffic_light     the colour of each parcel in each scenario as of a day, with the reason
evidence          what the light of a parcel rests on
phenology         start, peak and end of the season, from smooth curves
parts             the parts of parcels that were mown or ploughed while the rest was not, from the pixels of the cube
show_parts        a picture of these parts, over the NDVI before and after
smoothed          the smooth curves themselves, gaps filled
"""

from cbm_lake.markers.finding import find, looks
from cbm_lake.markers.lights import COLOURS, evidence, traffic_light
from cbm_lake.markers.parts import parts
from cbm_lake.markers.phenology import phenology, smoothed
from cbm_lake.markers.picture import show_parts

__all__ = [
    "COLOURS",
    "evidence",
    "find",
    "looks",
    "parts",
    "phenology",
    "show_parts",
    "smoothed",
    "traffic_light",
]
