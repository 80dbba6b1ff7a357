# %% lie-cost  Each careless way loses something; the careful way brings all but the colour back.
assert (careless < careful - 0.02).all() and (careful[:3] > 0.97).all()
