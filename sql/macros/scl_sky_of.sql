-- sky_of(scl, classes, most): 'clear', 'cloudy' or 'unknown', see sky(), by a parcel's pixels of each scene class.
create macro sky_of(scl, classes, most := null) as sky(share_of(scl, classes), most)
