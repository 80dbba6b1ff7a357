# %% cell-17  zero-shot hardly helps
assert right.mean() < chance + 0.15

# %% cell-19  it knows its old task
assert known > 0.9

# %% cell-23  the probe knows the style
assert right.mean() > before + 0.4

# %% cell-25  more examples, more right
curve = [right.mean() for right in found["linear probe"]]
assert curve[-1] > curve[0] + 0.2

# %% cell-31  the cache helps, without any training
assert gain > 0.2

# %% cell-31  large α win
assert min(chosen) >= 1000

# %% cell-33  bending the last step helps
assert gain > 0.3

# %% cell-40  the loss is far below chance
assert last.loss < last.chance / 4

# %% cell-40  held-out images agree
assert told.best.accuracy > 0.85

# %% cell-42  fine-tuning learned the styles
assert after > before + 0.5

# %% cell-44  at 64, the probe beats the cache
gap = last["linear probe"] - last["cache"]
assert gap > 0.05

# %% cell-44  from four on, all weights lead
ahead = (more[0] - more[1])[1:].min()
assert ahead > 0.05

# %% cell-48  fine-tuning forgot the old task
assert left < known - 0.4

# %% cell-48  bending the last step forgot little
of_bent = old_task(bent)
assert of_bent > 0.9

# %% cell-50  a mixture does both
assert both.max() > 0.8

# %% cell-50  better than either end
assert both.max() > ends + 0.3
