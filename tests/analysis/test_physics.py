from __future__ import annotations

from mfsweep.analysis.physics import checked
from mfsweep.analysis.records import Records
from mfsweep.analysis.report import write_report
from mfsweep.analysis.study import ReportStudy
from mfsweep.physics_record import Bond, PhysicsRecord, Structure, Trajectory
from mfsweep.store import SweepFolder


def test_the_report_shows_physics_beside_test_errors_once_there_is_some(world, tmp_path):
    world.grid({"dft": 1.35}, seeds=(0,))
    study = ReportStudy(name="physics", spec_text="name: physics", cells=world.cells, fits=[], plan={}, warnings=[], residuals=[], commands=[])  # fmt: skip
    folder = SweepFolder(tmp_path / "page")
    write_report(world.store, study, folder)
    assert ">Physics</h2>" not in folder.report.read_text(encoding="utf-8")
    cell = world.cells[-1]
    key = cell.stages[cell.result]
    well = Structure(name="H2O", atoms=3, inconsistency=1e-6, relaxed=True, imaginary=0, rmsd=0.02, frequency_error=30.0, drift=2e-4, trajectories=[Trajectory(temperature=300, lasted=2.0)], bonds=[Bond(bond="O0-H1", hole=0.0)])  # fmt: skip
    ill = Structure(name="CH4", atoms=5, inconsistency=None, relaxed=False, trajectories=[Trajectory(temperature=300, lasted=1.0, why="a bond C-H broke")], bonds=[Bond(bond="C0-H1", hole=None), Bond(bond="C0-H2", hole=0.3)])  # fmt: skip
    record = PhysicsRecord(key=key, head="cc", step=4, checks={"hole": 0.05}, structures=[well, ill], seconds=1.0)
    world.store.stage(key).write_physics(record)
    (found,) = checked(Records(world.store, world.cells), world.cells)
    assert found.row()[4:] == ("50%", "1.50", "0.200", "50%", "0.020", "30", "2 of 3", "0.15")
    write_report(world.store, study, folder)
    page = folder.report.read_text(encoding="utf-8")
    assert ">Physics</h2>" in page
    assert "2 of 3" in page
