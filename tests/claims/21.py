# %% kill-code  Shards 0 to 2 are complete, and one is unfinished.
assert sorted(file.stem for file in left) == ["000000", "000001", "000002"]
