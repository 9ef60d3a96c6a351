"""A hyperparameter search by Optuna."""
