"""Markers: agricultural events detected in the time series of each parcel, and its traffic-light colour.

find              all markers of a parcel set, written into the lake
looks             how many observations of parcels are clear, and why the others are not
traffic_light     the colour of each parcel in each scenario as of a day, with the reason
evidence          what the light of a parcel rests on
phenology         start, peak and end of the season, from smooth curves
smoothed          the smooth curves themselves, gaps filled
"""

from cbm_lake.markers.finding import find, looks
from cbm_lake.markers.lights import evidence, traffic_light
from cbm_lake.markers.phenology import phenology, smoothed

__all__ = ["evidence", "find", "looks", "phenology", "smoothed", "traffic_light"]
