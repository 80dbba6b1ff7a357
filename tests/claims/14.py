# %% grid-code  Each map fades with distance.
_grid = torch.cartesian_prod(torch.arange(side), torch.arange(side)).float()
far = torch.cdist(_grid, _grid)
assert cosines[(far > 0) & (far < 1.1)].mean() > cosines[(far > 2.9) & (far < 3.1)].mean() + 0.3
_corners = torch.tensor([0, side - 1, side**2 - side, side**2 - 1])
assert cosines[_corners[[0, 3]]][:, _corners].min() > 0.3 and cosines[0, chosen[2]] < -0.5, "corners are alike"

# %% neighbour-code  The nearest position is nearly always a neighbour.
assert (nearest == 1).float().mean() > 0.9

# %% attended-code  Head 1 attends most to the beak, and so does head 2; the corners get nothing.
assert [divmod(m.argmax().item(), side) for m in maps[1:3]] == [(2, 1), (2, 1)]
assert maps[:, [0, side - 1, side**2 - side, side**2 - 1]].max() < 0.02

# %% ink-code  Nearly all attention goes to the drawing.
assert np.mean(attended) > np.mean(fractions) + 0.15 and np.mean(attended) > 0.93
assert 0.68 < np.mean(fractions) < 0.745, "more than a quarter of the patches are empty"

# %% lens-code  Examples recognize four in five after block 2, words next to nothing; words nearly all after block 4.
assert by_examples[2] > 0.75 and by_words[2] < 0.2 and 0.15 < by_examples[1] < 0.4
assert 0.5 < by_words[3] < 0.8 and by_words[4] > 0.9 and by_examples[3] > 0.9
assert by_words[0] < 0.1 and by_examples[0] < 0.1

# %% mask-code  Most of the weight goes to 'start' and 'blue'.
assert set(looks[3:].sum(dim=0).topk(2).indices.tolist()) == {0, 2}
assert (looks[2:6].topk(2).indices.sort().values == torch.tensor([0, 2])).all()
assert (looks[6:].topk(2).indices == torch.tensor([2, 6])).all() and (abs(looks[2:, 2] - 0.5) < 0.06).all()
