"""The API side of Kaggle: data sets, kernels, wheels, models and submissions, verified after every write."""
