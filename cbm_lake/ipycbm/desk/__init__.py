"""The workbench: one page on which an analyst looks at parcels one after another and decides.

Its parts (the worklist, the map, the evidence with its strip of images, the decision bar) know nothing of each other.
Each follows and changes the one `State`, and says by `Drawn` what it shows.
"""
