# %% cell-9  a bus comes first
assert files[best[0]].stem == "bus"

# %% cell-13  the same images in the same order
assert same

# %% cell-16  most captions find their drawing
assert np.mean(hits) > 0.5

# %% cell-18  no image is taken for a giraffe
assert not matches

# %% cell-21  the two cats come first
by_words = index.search("a cat", k=1)[0].score
first_two = {match.path.stem for match in matches[:2]}
assert first_two == {"cat"}

# %% cell-21  they beat words
assert matches[1].score > by_words + 0.2

# %% cell-21  other things stay low
assert matches[2].score < 0.3

# %% cell-26  the same image comes first
assert same

# %% cell-26  cats, then buses
assert found == ["cat"] * 2 + ["bus"] * 2

# %% cell-28  the image reaches higher
assert by_image > 1.1 * by_text

# %% cell-29  at last the words decide
assert files[best].stem == "bus"

# %% cell-32  white leads, with words or without
assert max(first[:2]) < 10

# %% cell-32  the words alone are like a coin
assert 10 < first[2] < 21

# %% cell-40  the renamed cat is found
assert found == renamed

# %% cell-54  all copies come before the mazes
mazes_found = [m.path.name for m in matches if "maze" in m.path.name]
assert not mazes_found

# %% cell-56  the other is nearest
assert mazes[1].path.name == "maze2.jpeg"

# %% cell-56  two mazes are more alike than a fish and its copy
closer = mazes[1].score > worst.score + 0.05
assert closer

# %% cell-60  nearly the same threshold
assert abs(guess - threshold) < 0.05
