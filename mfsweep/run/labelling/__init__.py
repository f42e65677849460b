"""Labels computed over Ray: what is asked for (service.py), in which batches, by which tasks, or by a trained model."""

from mfsweep.run.labelling.service import LabelSummary, Request, Watcher, label

__all__ = ["LabelSummary", "Request", "Watcher", "label"]
