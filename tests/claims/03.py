# %% lie-cost  Each careless way loses something, and the careful way brings rotation, transparency and the palette back.
assert (careless < careful - 0.02).all() and (careful[:3] > 0.97).all()
