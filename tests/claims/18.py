# %% zero-shot-code  Better than chance, and far from good.
assert chance + 0.05 < zero_shot.mean() < 0.45

# %% old-task-code  It knows its old task.
assert known > 0.9

# %% compare-code  The probe knows the style, and more examples help.
curve = [found.mean() for found in results["linear probe"]]
assert curve[-1] > zero_shot.mean() + 0.2 and curve[-1] > curve[0] + 0.1

# %% cache-code  The cache helps without training, and the chosen votes outweigh the texts.
assert times > 3
assert results["cache"][-1].mean() > zero_shot.mean() + 0.12
assert abs(without.mean() - zero_shot.mean()) < 0.02

# %% projection-code  A new projection helps.
assert results["last projection"][-1].mean() > zero_shot.mean() + 0.15

# %% tune-code  The loss ends far below guessing, and held-out images agree.
assert report.measures[-1].loss < report.measures[-1].chance / 2
assert report.best.accuracy > 0.75

# %% rate-code  The middle rate wins clearly; the high one ruins.
last = [tune(train, rate)[1].measures[-1].accuracy for rate in RATES]
best = [tune(train, rate)[1].best.accuracy for rate in RATES]
assert best[1] > best[0] + 0.1 and best[1] > best[2] + 0.2 and last[2] < 0.35

# %% tune-compare  Fine-tuning learned the styles.
assert results["all weights"][-1].mean() > zero_shot.mean() + 0.35

# %% side-code  From four examples on, all weights lead.
means = {title: [found.mean() for found in each] for title, each in results.items()}
others = [means[title] for title in means if title != "all weights"]
assert all(means["all weights"][2] > other[2] + 0.03 for other in others)
assert all(means["all weights"][1] > other[1] for other in others)
assert all(value > zero_shot.mean() for line in means.values() for value in line)

# %% forgot-code  Fine-tuning forgot most names, a new projection few.
assert left < known - 0.4 and old_task(adapted, "test") > 0.8

# %% mix-code  A mixture is better than both ends.
assert both.max() > max(both[0], both[-1]) + 0.02 and 0 < chosen < 1


# %% mix-test  Also in the test, the mixture is better than both ends.
def average(some):
    return (hits(style_scores(some, test), test).mean() + old_task(some, "test")) / 2


assert average(mixed) > max(average(model), average(tuned)) + 0.04
gains = [hits(style_scores(some, test), test).mean() - zero_shot.mean() for some in (mixed, tuned)]
assert gains[0] > 0.45 * gains[1]

# %% save-code  The two files are there.
assert {p.name for p in (scratch / "run").glob("*.pt")} == {"best.pt", "training.pt"}

# %% ex3-code  The first attempt is worse.
assert found.mean() < ours.mean() - 0.05
