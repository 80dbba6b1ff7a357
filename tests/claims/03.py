# %% lie-cost  Each careless way loses something; the careful way brings all but the colour back.
assert (careless < careful - 0.02).all() and (careful[:3] > 0.97).all()

# %% lie-cost  Transparency and palette hardly matter; a cat on its side is nearer to another drawing, 16 bits are one.
assert (careless[1:3] > 0.9).all() and 0.6 < way < 0.8 and careless[3] < different
