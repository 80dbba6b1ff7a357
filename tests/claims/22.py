# %% search-code  Four lists find at least eight of the first query's ten, among far fewer vectors.
assert len({*found} & {*truth[0]}) >= 8 and compared < N / 12

# %% recall-code  One list finds more than half, eight nearly all, of a twentieth or so of the vectors.
assert 0.5 < images[0][2] < 0.75 and images[2][2] > 0.93 and images[3][2] > 0.97 and images[3][1] < 0.08
assert exact_ms > images[2][3]

# %% structure-code  Texts are harder than images with one list and end up close; noise is far below.
assert texts[0][2] < images[0][2] - 0.07 and texts[1][2] < images[1][2] - 0.07 and texts[3][2] > 0.93
assert white[3][2] < 0.35 and 0.55 < white[6][2] < 0.85

# %% half-code  Nearly nothing is lost.
assert kept > 0.99

# %% refine-code  Ten candidates lose most, 200 refine to more than nine tenths.
assert pq[10] < 0.45 and 0.55 < pq[50] < 0.85 and pq[200] > 0.9

# %% lance-code  A cat is found, and something else when no cat may be.
assert lance_search(query, "true")["object"] == "cat"
assert lance_search(query, "object != 'cat'")["object"] != "cat"

# %% add-code  The maze is found after it was added.
assert after["object"] == "maze" and before < 0.3

# %% lance-index-code  Both miss next to nothing.
assert theirs > 0.95
