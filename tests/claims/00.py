# %% sort-code  The snowman is first.
assert winter[0] == "snowman"

# %% more  Cup, cake, and boat come first.
assert firsts == ["cup", "cake", "boat"]

# %% wrong-code  Neither the car nor the bus is among the six.
assert not {"car", "bus"} & set(wheels)
