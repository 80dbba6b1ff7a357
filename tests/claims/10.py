# %% search-code  The search for cats: nearly all found, FPR near 5 %, precision about a third.
found_cats, false_rate, right_results = rates(theta)
assert found_cats == 1 and 0.06 < false_rate < 0.085 and 0.28 < right_results < 0.35

# %% sheet  The first ten results are cats.
assert is_cat[results[:10]].all() and is_cat[results].sum() == 16

# %% bayes-code  From about 94 % down to far below 1 %.
assert bayes(0.5, recall, fpr) > 0.9 and bayes(1 / 10_000, recall, fpr) < 0.003

# %% objects-print  New objects spread more than twice as widely; asking for 1 % stays below 5 %.
assert np.ptp(np.quantile(new_objects, [0.05, 0.95])) > 2 * np.ptp(np.quantile(new_images, [0.05, 0.95]))
assert np.quantile(strict, 0.95) < 0.045 and np.quantile(new_objects, 0.95) > 0.07

# %% many-code  Most images have at least one wrong caption above the threshold.
assert wrong_pairs.any(axis=0).mean() > 0.6

# %% crops-code  Three chances nearly double the FPR; with a new threshold, recall is still higher than before.
assert (best_of_three[~match] > line).mean() > 0.075
assert (best_of_three[match] > new_line).mean() > (whole[match] > line).mean() + 0.02

# %% interval-try  87 is inside for 82, 87 and 91 %, and outside for 75 and 96 %.
for precision in (0.75, 0.82, 0.87, 0.91, 0.96):
    low, high = np.quantile(np.random.default_rng(0).binomial(100, precision, 9999), [0.025, 0.975])
    assert (low <= 87 <= high) == (0.82 <= precision <= 0.91)

# %% choose-code  The chosen threshold, from a handful of pairs; hardly any matching pair is below the start.
assert 0.3 < threshold < 0.33 and right_so_far[stop] >= 0.95 and 15 < stop < 26
assert truth[all_scores < start].mean() < 0.01

# %% check-code  The truth is between promise and first estimate; over half of the matching pairs get a tag.
assert promised + 0.03 < true_precision < right_so_far[stop] and 0.5 < found < 0.7

# %% repeat  Fresh looks keep their promise, the first estimate is nearly always too high.
assert np.mean(kept) > 0.95 and np.mean(flattered) > 0.8

# %% boot-code  The ensemble beats the video game, and not the bad photo; unpaired, 0 is inside.
low, high = np.transpose([np.quantile(v, [0.025, 0.975]) for v in samples.values()])
assert low[0] < -1 and high[0] > 1 and low[1] > 0.6 and low[2] < -0.6 and high[2] > high[1] + 1
