# %% cell-06  all answers are right
assert by_row and by_column
