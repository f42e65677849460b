"""Labels computed over Ray: what is asked for (service.py), in which batches, by which tasks, or by a trained model."""

from mfsweep.run.labelling.service import LabellingWatcher, LabelSummary, Request, label

__all__ = ["LabelSummary", "LabellingWatcher", "Request", "label"]
