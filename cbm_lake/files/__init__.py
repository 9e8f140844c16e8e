"""Files on this machine: written atomically and durably, and read within bounds when somebody else made them.

Nothing here knows of a lake, a parcel or a scene.
"""
