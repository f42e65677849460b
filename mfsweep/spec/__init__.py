"""The spec language: frozen Pydantic models, and the reader that turns YAML into them. No torch, ray or mlflow."""
