"""What is fitted on out-of-fold predictions: epochs, aggregations, calibrations, weights. Each says what it is worth.

Whatever is fitted on predictions looks too good on them, so everything here is also evaluated where it was not fitted:
fold by fold (`row_fold`), or on the patients that a choice has not seen.
"""
