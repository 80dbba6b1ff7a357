# %% cell-18  the crop is best in the middle
assert best["middle"] is crop

# %% cell-18  it is the worst at the edge
assert worst is crop

# %% cell-18  pad and squash are about equal
apart = [abs(near[p, pad] - near[p, squash]) for p in places]
assert max(apart) < 0.1

# %% cell-28  more pixels help
assert by_size[0] < by_size[2] < by_size[4]

# %% cell-28  beyond the square they don't
assert min(by_size[3:]) > 0.98

# %% cell-40  a full stop hardly matters
assert same[1] > 0.99

# %% cell-40  other words and spellings matter
assert same[2:].max() < 0.95

# %% cell-40  another language matters most
assert same[4] < same[1] - 0.5

# %% cell-46  it is read
assert heard["in front"] > heard["nowhere"] + 0.3

# %% cell-46  second, it hardly counts
assert moved["second"] > 0.95
