"""A clone and any Python 3.10 to 3.13 -> the project's environments, from locked files. Standard library only."""
