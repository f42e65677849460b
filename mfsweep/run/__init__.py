"""Running a plan: the only place that knows Ray, MLflow and Optuna."""
