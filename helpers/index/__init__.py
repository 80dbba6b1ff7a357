"""Search a folder of images: `folder_index` keeps it up to date and searches it, `scan` finds files, `store` saves."""
