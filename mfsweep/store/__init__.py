"""The store: every path that mfsweep writes, and the rule that makes it safe to share.

    store/
      stages/<key>/            one training, named by its content
        training.json          the stage's identity in full
        metrics.jsonl          one JSON object a line, appended by rank 0; of a trained stage metrics.jsonl.gz
        train.log              the worker's log
        interruptions.jsonl    lost workers and nodes, one JSON object a line; there when there were any
        failure.json           why the latest training of it failed; gone once the next one begins
        pruned.json            which search gave up its point, and why; gone once a training of it begins
        .claim, .lease-N       who performs the stage now: a lock, and a lease with a heartbeat (lease.py)
        checkpoints/last.pt    whole state, to resume from, and last.pt.before; they go when the record is there
        checkpoints/selected.pt, best.<head>.pt    weights; the record says which file is whose
        record.json            written when all these are there: a stage is trained when it exists
        evaluations/<id>.json  one evaluation of the trained stage, and <id>.npz its predictions
        physics/<head>.<id>.json   what `mfsweep validate` found of a head
      sweeps/<name>/           spec.yaml, cells.json, figures, claims.json, report.html of the latest run of a spec
        asked.json, search.json  of a search: the points asked for so far, and what came out
      sweeps/index.html, claims.md    one page of all reports
      optuna.db                the studies of the searches
      mlflow.db, mlartifacts/  the default tracking store
      .mlflow.db.lock, .optuna.db.lock, .tracking    stand for locks on making these files, and runs in MLflow
      digests.json             content of the source files seen, so that a large one is hashed once
      judged.json              which structures and labels have passed the checks of data, and what was found
      datasets/                data sets that were made of sources on first use
      edges/                   neighbours of the source files' atoms, by geometry and cutoff
      costs.json               seconds per batch, as `mfsweep bench` measured them
      ray/                     scratch of the runs that are going on

A store may lie at a URL too; then such a folder is its working copy (remote/).

Invariant: files are written under a temporary name in their own folder and renamed; a record names only files that
exist already. So a reader never sees half a file, and killing any writer at any time loses at most unrecorded work.
"""

from mfsweep.store.stage_folder import StageFolder
from mfsweep.store.store import DEFAULT_STORE, STAGES, StoreFolder
from mfsweep.store.sweep_folder import SweepFolder

__all__ = ["DEFAULT_STORE", "STAGES", "StageFolder", "StoreFolder", "SweepFolder"]
