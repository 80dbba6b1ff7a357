# %% problem-code  The product prefers the maze, which is the longer vector.
assert two[0] @ text < two[1] @ text

# %% fixed  The cosine prefers the mushroom.
assert cosines[0] > cosines[1] + 0.1

# %% images-code  Two mazes are closest, then the pets, then cat and car.
assert maze1 @ maze2 > 0.95 and maze1 @ maze2 > cat @ dog + 0.1 > cat @ car + 0.2
