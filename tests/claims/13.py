# %% cell-19  a bird needs its half
assert half_drops[0].argmax() == 0

# %% cell-19  a boat needs its half
assert half_drops[1].argmax() == 1

# %% cell-26  each map is brighter on its own thing
for one_map, side in zip(maps, (left, ~left), strict=True):
    assert one_map[ink & side].mean() > one_map[~(ink & side)].mean() + 0.02

# %% cell-28  the difference is brighter on the left
on_left = difference[:, :128].mean() > difference[:, 128:].mean()
assert on_left

# %% cell-30  two maps mostly find both things
assert by_map > 0.6

# %% cell-30  the difference nearly always does
assert by_difference > 0.85

# %% cell-34  a larger patch takes more away
rising = largest[0] < largest[1] < largest[2]
assert rising

# %% cell-38  the bird shows
assert np.ptp(wide_map[:, 128:256]) > 0.02

# %% cell-44  bird carries the text
assert found[drops.argmax()] == "bird"

# %% cell-44  blue costs something
assert drops[words.index("blue")] < -0.05

# %% cell-48  a grey square alone moves the score
assert size > 0.03

# %% cell-50  white and dark differ
assert agreement[0, 1:].max() < 0.85

# %% cell-57  a tree scores below a boat
assert column[2] < column[1] - 0.05

# %% cell-57  yet its largest drop is larger
assert tree > present[1].max()

# %% cell-57  alone, the bird is a bird
assert of_bird > of_fish + 0.05

# %% cell-57  a fish has the highest score
assert column.argmax() == 3
