"""Params and tags as MLflow takes them: without passwords, and no longer than its limits."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from mfsweep.masking import masked

logger = logging.getLogger(__name__)

# Limits of MLflow 3.17 (mlflow/utils/validation.py).
PARAM_LENGTH = 6000
TAG_LENGTH = 8000


def short_params(params: Mapping[str, Any]) -> dict[str, str]:
    """Return params as texts that MLflow takes; None is left out."""
    return {
        key: _short(str(value), PARAM_LENGTH, f"the param {key!r}")
        for key, value in params.items()
        if value is not None
    }


def short_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags as texts that MLflow takes."""
    return {key: _short(str(value), TAG_LENGTH, f"the tag {key!r}") for key, value in tags.items()}


def _short(text: str, limit: int, what: str) -> str:
    text = masked(text)
    if len(text) <= limit:
        return text
    logger.warning(
        "%s has %d characters; MLflow keeps the first %d (the store's record has them all)", what, len(text), limit
    )
    return text[:limit]
