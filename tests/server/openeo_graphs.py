"""Process graphs as documents, for what clients do not write."""


def node(process, result=False, /, **arguments):
    return {"process_id": process, "arguments": arguments, **({"result": True} if result else {})}


def of(name):
    return {"from_node": name}


def reducer(process, /, **arguments):
    return {"process_graph": {"r": node(process, True, data={"from_parameter": "data"}, **arguments)}}


def mean_of(geometries, card="s2", bands=("B04",), extent=None, **nodes):
    """The mean of bands over polygons, with further nodes between the cube `load` and the statistics."""
    last = list(nodes)[-1] if nodes else "load"
    loaded = node("load_collection", id=card, spatial_extent=None, temporal_extent=extent, bands=list(bands))
    statistics = node("aggregate_spatial", True, data=of(last), geometries=geometries, reducer=reducer("mean"))
    return {"load": loaded, **nodes, "statistics": statistics}
