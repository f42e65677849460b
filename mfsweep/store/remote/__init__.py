"""A store in an object storage: stages are trained in a working copy on this machine, and shared by a URL.

    s3://bucket/prefix/
      store.json                          makes it a store
      stages/<key>/trained.json           which files a trained stage has, with their sha256
      stages/<key>/evaluation.<id>.json   those of one evaluation
      stages/<key>/physics.<id>.json      those of one check of its physics
      stages/<key>/state.<lease>.json     those of a stage that is not trained: its log, and what it goes on from
      files/<key>/<sha256>-<name>         the files; one never changes, so whoever puts it again changes nothing
      files/<key>/<lease>/...             those of a state
      sweeps/<name>.json, sweep-files/    what the latest run of a spec has left, likewise
      leases/<key>/<number>               who trains a stage now

Invariant: a manifest (units.py) is put when all of its files are there, in one piece, and a stage is trained when it
has one. So no reader ever sees half a stage, whoever is killed at whatever point, and whoever writes beside whom. Of
two that put the manifest of one stage the first one stays; of two that put how far it is, the one with the later lease
(replaced.py).

Only the driver of a run speaks with the storage. What its workers see is the working copy, a store like any other.
"""

from mfsweep.store.remote.remote_store import RemoteStore, copied_from
from mfsweep.store.remote.urls import is_url, name_of_store, working_copy

__all__ = ["RemoteStore", "copied_from", "is_url", "name_of_store", "working_copy"]
