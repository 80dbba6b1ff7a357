# %% index-code  Two files cannot be read.
assert len(names) == 592 and set(index.errors) == {"page.jpg", "half a cat.png"}

# %% ten-code  Seven queries are right, three are not, as the text says.
tops = {q: [m.path.stem.split("-")[0] for m in index.search(q, k=6)] for q in QUERIES}
fit = {"an animal": ANIMALS, "a vehicle": {"car"}, "a fruit": {"apple"}, "a plant": {"flower", "tree"}}
fit |= {"winter": {"snowman"}, "a birthday party": {"cake"}, "a building": {"house"}}
fit |= {"the night sky": {"sun"}, "a toy": {"bird"}, "something to eat": {"cup", "fish"}}
assert all(set(tops[q]) <= fit[q] for q in QUERIES) and tops["something to eat"].count("cup") == 5
assert set(tops["an animal"]) == {"dog", "bird"}

# %% wording-code  The template changes nothing, the list changes nearly all, the creature is far worse.
found = {text: np.isin(order[:20], orders["an animal"][:20]).sum() for text, order in orders.items()}
assert found["a photo of an animal"] == 20 and found["a cat, a dog, a bird, or a fish"] < 6
assert truth[orders["a living creature"][:100]].mean() < 0.75
assert truth[orders["something that lives"][:100]].mean() < 0.35

# %% truth-code  The truth lies between; left of the line are four fish and 25 others, right of it two are wrong.
assert promised + 0.03 < truth[shown].mean() < right[shown[looks]].mean()
left = ~shown[looks]
assert sorted(n.split("-")[0] for n in names[looks[left & right]]) == ["fish"] * 4 and (left & ~right).sum() == 25
assert {n.split("-")[0] for n in names[fresh[~fresh_right]]} == {"rocket"} and (~fresh_right).sum() == 2
assert [n.split("-")[0] for n in names[looks[shown[looks] & ~right]]] == ["clock"]
assert not truth[~candidates].any() and len(np.intersect1d(looks, fresh)) == 4

# %% covers-code  94, 64, 83 and 28 percent.
found = [r[a > threshold].mean() for a, r in cases.values()]
assert np.allclose(found, [0.935, 0.64, 0.828, 0.276], atol=0.02)

# %% ex3-code  With wanted=0.8, the recall of the plants is over 70 %.
is_right = np.array([name.split("-")[0] in ("flower", "tree") for name in names])
some = features @ helpers.normalize(helpers.encode_texts(model, "a plant"))[0]
first = look(some, np.sort(some)[::-1][64], 50, seed=42)
assert is_right[some > choose(some, first, is_right[first], wanted=0.8)].sum() / 32 > 0.7
