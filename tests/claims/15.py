# %% maps  Each map peaks on its own object.
half = maps.shape[1] // 2
assert maps[0, :half, :half].max() == maps[0].max()
assert maps[1, half:, half:].max() == maps[1].max()
assert abs(maps).max() < 0.35

# %% game-code  tiny leads by far; values are ahead of final tokens; all are above chance.
first, second, averaged, third = hits.values()
_values = peaks["tiny-vit, values"]
_missed = _values != quarters[:, 0]
assert 0.6 < (_values[_missed] == quarters[_missed, 1]).mean() < 0.85, "the answer to exercise 1"
assert first > second + 0.12 and second < max(averaged, third) + 0.15
assert second > averaged + 0.03 and second > third + 0.03 and min(averaged, third) > 0.38

# %% absent-code  The bird that is not there has the highest peak, the ghost a higher one than the house.
assert ghosts[0].max() > maps[1].max() + 0.01 and ghosts[1].max() > maps[0].max() + 0.02

# %% present-code  The peak is no better than a coin; the whole image is a bit better.
assert 0.4 < by_peak < 0.65 and by_whole > by_peak + 0.04
