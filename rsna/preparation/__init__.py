"""Before training: folds and the prepared data set."""
