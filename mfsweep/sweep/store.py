"""A store for whoever looks at what it holds, without a spec: `mfsweep.Store`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mfsweep.store import DEFAULT_STORE, StoreFolder
from mfsweep.store.remote import copied_from, is_url, working_copy

if TYPE_CHECKING:
    import pandas as pd
    from ase.calculators.calculator import Calculator

    from mfsweep.export.formats import Format
    from mfsweep.export.leave import ExportedModel
    from mfsweep.export.measured import BestStage
    from mfsweep.passport import Passport
    from mfsweep.physics_record import PhysicsRecord
    from mfsweep.store.contents import Contents
    from mfsweep.store.predictions import StoredPrediction
    from mfsweep.store.usage import Usage
    from mfsweep.store.verify import Verified
    from mfsweep.sweep.sharing import SharedStages
    from mfsweep.sweep.unneeded import PrunedStore
    from mfsweep.train.predictor import Precision


def place(named: str | Path) -> Path:
    """Return the folder of a store by its path; by its URL that of its working copy on this machine.

    Raises:
        StoreError: the URL is none that a store can have.
    """
    return working_copy(named) if isinstance(named, str) and is_url(named) else Path(named).expanduser()


class Store:
    """A store that is there: its cells as a table, its predictions, its models, its files.

    Args:
        root: the folder, or the URL of a store (`s3://bucket/prefix`).

    Raises:
        StoreError: there is no store at the place; with the one near it that was meant, perhaps. Or its storage cannot
            be used.
    """

    def __init__(self, root: str | Path = DEFAULT_STORE) -> None:
        from mfsweep.store.remote.refresh import refresh, refresh_sweeps

        self._folder = StoreFolder(place(root).absolute())
        self._folder.require_there()
        refresh_sweeps(self._folder)
        refresh(self._folder)

    def __repr__(self) -> str:
        return f"Store({str(self.root)!r})"

    @property
    def root(self) -> Path:
        """Return the folder, an absolute path; of a store at a URL its working copy on this machine."""
        return self._folder.root

    def sweep_names(self) -> list[str]:
        """Return the names of the specs that were run into the store."""
        return self._folder.sweep_names()

    def frame(self, *sweeps: str) -> pd.DataFrame:
        """Return one row a cell of the sweeps that were run into the store (analysis/frame.py has the columns).

        Args:
            sweeps: names of specs; default: all.

        Raises:
            StoreError: nothing was run under such a name, or its list of cells is damaged.
        """
        from mfsweep.analysis.frame import frame

        names = sweeps or self.sweep_names()
        return frame(self._folder, [(name, self._folder.sweep(name).cells()) for name in names])

    def predictions(self, key: str) -> dict[str, StoredPrediction]:
        """Return the stored predictions of a trained stage: name of the score (`test.cc`) -> reference and predicted.

        Args:
            key: of the stage, or as many letters of it as no other stage begins with.

        Raises:
            StoreError: no such stage, or a file of it is damaged.
        """
        from mfsweep.analysis.predictions import by_score

        return by_score(self._folder.find(key))

    def calculator(self, key: str, head: str | None = None, **options: Any) -> Calculator:
        """Return an ASE calculator of a trained stage: energy, forces, and stress of crystals.

        Args:
            key: of the stage, or as many letters of it as no other stage begins with.
            head: readout head, for example `cc`; may be left out where there is only one.
            options: of `mfsweep.train.calculator.load_calculator`: base, offsets, checkpoint, device, dtype.

        Raises:
            StoreError: no such stage, it is not trained to its end, or its weights are damaged.
            TrainingError: no such head.
            ResourceError: the packages of its architecture cannot be imported here.
        """
        from mfsweep.train.calculator import load_calculator

        return load_calculator(self._folder.find(key).path, head, **options)

    def best(self, metric: str) -> BestStage:
        """Return a stage of the setting with the lowest value of a metric; `Sweep.best` looks at those of one spec.

        Settings with replicates are compared by their mean over these: over folds, if they have any.

        Args:
            metric: as a column of `frame`, result.test.cc.energy_mae; without the stage, test.cc.energy_mae, of all
                stages.

        Raises:
            StoreError: no stage has it, stages of different data do, or no two settings have it on one partition.
        """
        from mfsweep.export.measured import best

        return best(self._folder, metric)

    def passport(self, key: str) -> Passport:
        """Return what is known of a trained stage: where it comes from, how good it is, whose it is.

        Args:
            key: of the stage, or as many letters of it as no other stage begins with.

        Raises:
            StoreError: no such stage, it is not trained to its end, or its weights are damaged.
        """
        from mfsweep.export.describe import passport_of_stage

        return passport_of_stage(self._folder, self._folder.find(key))

    def export(
        self,
        stage: str | BestStage,
        format: Format,  # noqa: A002 (the word that everybody knows)
        *,
        head: str | None = None,
        out: str | Path | None = None,
        dtype: Precision | None = None,
        checkpoint: Literal["selected", "best"] = "selected",
        licence: str | None = None,
        with_spec: bool = True,
    ) -> ExportedModel:
        """Write a trained stage as a file that other programs load; its passport lies in it and beside it.

        Args:
            stage: its key, or as many letters of it as no other stage begins with; or what `best` returns.
            format: one of those of `mfsweep export --help`.
            head: the only readout head in the file; default: all, where the format can hold several.
            out: the file; default: one in the working directory, named after the stage.
            dtype: of the weights in the file; default: float64, for ase as they were trained.
            checkpoint: the `selected` weights, or those `best` for the head.
            licence: of the model, for the passport.
            with_spec: whether the spec's text, which names your files, goes into the passport.

        Raises:
            StoreError: no such stage, it is not trained to its end, or its weights are damaged.
            TrainingError: no such head, or the format cannot hold the model.
        """
        from mfsweep.export.leave import export

        folder, chosen = (self._folder.find(stage), None) if isinstance(stage, str) else stage
        return export(
            self._folder,
            folder,
            format,
            head=head,
            out=None if out is None else Path(out),
            precision=dtype,
            checkpoint=checkpoint,
            licence=licence,
            chosen=chosen,
            with_spec=with_spec,
        )

    def validate(
        self,
        keys: Sequence[str],
        *,
        head: str | None = None,
        structures: str | Path | None = None,
        again: bool = False,
        say: Callable[[str], object] = lambda _: None,
        **checks: Any,
    ) -> list[PhysicsRecord]:
        """Check the physics of trained stages; what is found lies beside their records.

        Args:
            keys: of the stages, or as many letters of each as no other stage begins with.
            head: readout head; may be left out where there is only one.
            structures: a file that ASE reads, in place of small molecules.
            again: check anew what the store has.
            say: told the key of each stage before it is checked.
            checks: fields of `mfsweep.physics.settings.PhysicsChecks`: reference, base, molecules, temperatures ...

        Raises:
            StoreError: no such stage, or it is not trained to its end.
            DataError: the structures cannot be read, or there is no such reference or base.
        """
        from mfsweep.physics.checked import Validator
        from mfsweep.physics.settings import PhysicsChecks

        folders = [self._folder.find(key) for key in keys]
        validator = Validator(PhysicsChecks.model_validate(checks), None if structures is None else Path(structures))
        records: list[PhysicsRecord] = []
        for folder in folders:
            say(folder.key)
            subject = validator.subject(folder, head)
            there = None if again else folder.physics_record(subject.head, validator.checks.identity())
            records.append(there or validator.check(subject))
        return records

    def verify(self) -> Verified:
        """Read every file whole, and return what is damaged: records, weights, predictions, databases.

        Of a store at a URL every object is read, in place of the working copy's files.

        Raises:
            StoreError: its storage cannot be used.
        """
        if remote := copied_from(self._folder):
            from mfsweep.store.remote import remote_verify

            return remote_verify.verify(remote)
        from mfsweep.store.verify import verify

        return verify(self._folder)

    def mend(self, verified: Verified) -> Verified:
        """Rename what is damaged to NAME.damaged-1, so that the next run makes it again; return what is left as it is.

        Args:
            verified: what `verify` returned.

        Raises:
            StoreError: the storage of a store at a URL cannot be used.
        """
        if remote := copied_from(self._folder):
            from mfsweep.store.remote import remote_verify
            from mfsweep.store.remote.remote_verify import DamagedObject

            remote_verify.mend(remote, [one for one in verified.findings if isinstance(one, DamagedObject)])
            return verified._replace(findings=[])
        from mfsweep.store.verify import DamagedFile, mend

        files = [one for one in verified.findings if isinstance(one, DamagedFile)]
        return verified._replace(findings=mend(self._folder, files))

    def push(
        self, url: str, *names: str, told: Callable[[int, int], object] = lambda _done, _total: None
    ) -> SharedStages:
        """Put what a store at a URL lacks of the trained stages here; what is there stays as it is.

        Args:
            url: `s3://bucket/prefix`; a store is made there where it is missing.
            names: specs (files or names), or first letters of keys; default: everything.
            told: how many stages were looked at so far, and how many there are.

        Raises:
            StoreError: the storage cannot be used, or there is no such spec or stage here.
        """
        from mfsweep.sweep.sharing import push

        return push(self._folder, url, names, told)

    @classmethod
    def pull(
        cls,
        url: str,
        root: str | Path = DEFAULT_STORE,
        *names: str,
        told: Callable[[int, int], object] = lambda _done, _total: None,
    ) -> SharedStages:
        """Copy what a folder lacks of the trained stages of a store at a URL; it is made where it is missing.

        Args:
            url: `s3://bucket/prefix`.
            root: the folder.
            names: as of `push`.
            told: as of `push`.

        Raises:
            StoreError: the storage cannot be used, has no such store, spec or stage, or the folder cannot be written.
        """
        from mfsweep.sweep.sharing import pull

        return pull(url, StoreFolder(place(root).absolute()), names, told)

    def usage(self) -> Usage:
        """Return what the store takes on its disk, or in its storage, by kind of file.

        Raises:
            StoreError: the storage cannot be used.
        """
        if remote := copied_from(self._folder):
            from mfsweep.store.remote.remote_verify import held

            return held(remote)
        from mfsweep.store.usage import usage

        return usage(self._folder)

    def contents(self, *names: str) -> Contents:
        """Return the sweeps and stages that the store holds; of specs (files or names) and first letters of keys alone.

        Raises:
            StoreError: one names nothing, or the storage cannot be used.
        """
        from mfsweep.sweep.unneeded import contents

        return contents(self._folder, names)

    def prune(
        self,
        *keep: str,
        unfinished: bool = False,
        older_than: float = 0,
        remove: bool = False,
        say: Callable[[str], object] = lambda _: None,
    ) -> PrunedStore:
        """Find what nobody needs; remove it if told to. What a run is at, and all that its spec needs, stays.

        Args:
            keep: as `names` of `push`: every other stage may go. Default: trained stages stay.
            unfinished: whether stages may go that were begun and are not trained.
            older_than: seconds; what was written here since stays.
            remove: whether to remove it.
            say: told before it takes a while: a stage whose run seems to have died is watched for 90 s.

        Raises:
            MfsweepError: no such spec or stage, a spec is wrong or lacks its data, or the storage cannot be used.
        """
        from mfsweep.sweep.unneeded import prune

        return prune(self._folder, keep, unfinished=unfinished, older_than=older_than, remove=remove, say=say)
