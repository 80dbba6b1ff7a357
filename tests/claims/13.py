# %% maps  Each map is orange on its own object and purple on the other one.
assert maps[0][:, :128].mean() > 0.01 > -0.005 > maps[0][:, 128:].mean()
assert maps[1][:, 128:].mean() > 0.002 > -0.01 > maps[1][:, :128].mean()

# %% halves-code  Each object speaks for its text and against the other.
assert table[0, 1] + 0.1 < table[0, 0] < table[0, 2] - 0.1
assert table[1, 2] + 0.04 < table[1, 0] < table[1, 1] - 0.08

# %% ink-code  On the own object positive, on the other negative, on white nearly nothing.
for one_map, side in zip(maps, (is_left, ~is_left), strict=True):
    assert one_map[ink & side].mean() > 0.02 and one_map[ink & ~side].mean() < -0.01
    assert abs(one_map[~ink].mean()) < 0.008

# %% difference-code  The difference separates the two.
assert rather[:, :128].mean() > 0.02 and rather[:, 128:].mean() < -0.01
assert rather[ink & is_left].mean() > max(abs(m[ink & is_left].mean()) for m in maps) + 0.02
assert -rather[ink & ~is_left].mean() > max(abs(m[ink & ~is_left].mean()) for m in maps) + 0.01

# %% pairs-code  Present objects are found far above chance, absent ones at a quarter and a half.
seen, unseen = np.mean(present, axis=0), np.mean(absent, axis=0)
assert seen[0] > 0.85 and seen[1] > 0.95 and abs(unseen[0] - 0.25) < 0.09 and abs(unseen[1] - 0.5) < 0.11

# %% patch-code  A larger patch takes away more.
tops = [one_map.max() for one_map in by_size]
assert tops[0] + 0.03 < tops[1] < tops[2] - 0.05

# %% wide-code  The bird shows.
assert np.ptp(wide_maps[1][:, 128:256]) > 0.03

# %% words-code  "bird" carries the text, "blue" costs something.
assert found[drops.argmax()] == "bird" and drops[4] < -0.08 and abs(drops[:4]).max() < 0.004

# %% control-code  The right colour costs about as much as a wrong one.
costs = np.array(coloured) - plain
assert max(costs) < -0.08 and costs[6] > costs[0] + 0.02 and costs[2] < costs[0] - 0.02

# %% trap-patch-code  Grey and black move the score, white does not.
assert np.abs(found).max() > 0.04

# %% trap-disagree-code  Grey and black agree, white differs.
assert r[0, 1:].max() < 0.85 and r[1, 2] > 0.93

# %% trap-any-code  The tree has a larger drop than the boat and next to no score; the fish has the highest score.
assert wrong_maps[0].max() > maps[1].max() + 0.008 and column[2] < column[1] - 0.08
assert column.argmax() in (0, 3) and abs(column[0] - column[3]) < 0.05 and column[3] > column[1] + 0.08

# %% alone-code  Without the boat, the bird is a bird; the fish needs the bird and hardly the boat.
assert parts[0, 2] > parts[1, 2] + 0.06 and parts[0, 2] > parts[0, 0] + 0.1
assert 0.12 < parts[1, 1] < parts[1, 2] - 0.1 and wrong_maps[1].max() < 0.05
assert abs(parts[1, 2] - parts[1, 0]) < 0.06 and parts[1, 1] < parts[1, 0] - 0.08
