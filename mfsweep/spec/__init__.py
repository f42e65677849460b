"""The spec language: frozen Pydantic models and the reader that turns YAML into them. Imports no torch, ray or mlflow."""
