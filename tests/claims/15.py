# %% c58  each map peaks on its own thing
half = side // 2
assert maps[0, :half, :half].max() == maps[0].max()
assert maps[1, half:, half:].max() == maps[1].max()

# %% a3513a84  occlusion mostly points at the thing
assert by_cover > 0.5

# %% a3513a84  the patches mostly point at the thing
assert by_patch > 0.5
