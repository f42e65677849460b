"""What a stage's process uses of its device, by counters that are played."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.run import meter
from mfsweep.run.meter import Gpu, Meter, Packages, Sample
from mfsweep.usage_record import UsagePart, together

CPU = torch.device("cpu")


class NVMLError(Exception):
    pass


class Nvml:
    """Stands for the NVML module; functions that are not supported raise, as its own do."""

    NVMLError = NVMLError

    def __init__(self, *, counter=True, power=True, rates=True):
        self.millijoules, self.milliwatts, self.busy = 5_000_000, 300_000, 80
        self.supported = {"counter": counter, "power": power, "rates": rates}
        self.asked: list = []

    def nvmlInit(self):
        pass

    def nvmlDeviceGetHandleByUUID(self, uuid):
        self.asked.append(uuid)
        return uuid

    def _only(self, what, value):
        if not self.supported[what]:
            raise NVMLError("not supported")
        return value

    def nvmlDeviceGetTotalEnergyConsumption(self, _):
        return self._only("counter", self.millijoules)

    def nvmlDeviceGetPowerUsage(self, _):
        return self._only("power", self.milliwatts)

    def nvmlDeviceGetUtilizationRates(self, _):
        return self._only("rates", SimpleNamespace(gpu=self.busy))


class Played:
    """A device whose samples are given."""

    def __init__(self, source, *samples):
        self.source, self._samples = source, list(samples)

    def sample(self):
        found = self._samples.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture
def watched(monkeypatch, tmp_path):
    """Give a function that lets a meter take the samples of a device, so many seconds apart; it returns the part."""

    def watch(device, samples, seconds=10.0, *, shared=False):
        now = 100.0
        monkeypatch.setattr(meter, "find", lambda _: device)
        monkeypatch.setattr(meter, "time", SimpleNamespace(monotonic=lambda: now, time=lambda: 1.7e9))
        made = Meter(tmp_path / "usage", 0, CPU, shared=shared)
        made._began = made._last = now
        for number in range(samples):
            now = 100.0 + seconds * number
            made._take()
        return made.part()

    return watch


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20))
def test_the_energy_is_what_the_counter_grew_by(steps):
    with pytest.MonkeyPatch.context() as patch:
        counts, total = [Sample(joules=7.0)], 7.0
        for step in steps:
            total += step
            counts.append(Sample(joules=total))
        patch.setattr(meter, "find", lambda _: Played("nvml", *counts))
        made = Meter(meter.POWERCAP, 0, CPU, shared=False)
        for _ in counts:
            made._take()
    assert made.part().joules == pytest.approx(total - 7.0)
    assert made.part().source == "nvml"


def test_power_is_summed_over_the_time_between_the_samples(watched):
    part = watched(Played("nvml power", *[Sample(watts=watts) for watts in (100.0, 300.0, 200.0)]), 3)
    assert part.joules == pytest.approx(10 * 200 + 10 * 250)
    assert part.source == "nvml power"
    assert part.seconds == 20.0


@pytest.mark.parametrize("lost", [OSError("gone"), Sample(), Sample(joules=1.0)], ids=["error", "silent", "began anew"])
def test_energy_of_which_a_part_is_not_known_is_not_told(watched, lost):
    part = watched(Played("nvml", Sample(joules=5.0), Sample(joules=6.0), lost, Sample(joules=9.0)), 4)
    assert part.joules is None
    assert part.source is None
    assert together([part]).joules is None


def test_utilisation_is_the_mean_of_the_samples_and_the_last_one(watched):
    part = watched(Played("nvml", *[Sample(1.0, 1.0, share) for share in (0.0, 1.0, 0.5)]), 3)
    assert (part.utilisation, part.now, part.samples) == (0.5, 0.5, 3)


def test_a_gpu_that_stages_share_tells_nothing_of_one_of_them(watched):
    part = watched(Played("nvml", Sample(5.0, 1.0, 1.0)), 2, shared=True)
    assert (part.joules, part.source, part.utilisation) == (None, None, None)
    assert part.seconds == 10.0


def test_where_there_are_no_counters_only_the_time_is_known(watched):
    part = watched(None, 2)
    assert (part.joules, part.source, part.utilisation, part.memory_gib) == (None, None, None, None)


@pytest.mark.parametrize(
    ("supports", "source"),
    [
        ({}, "nvml"),
        ({"counter": False}, "nvml power"),
        ({"counter": False, "power": False}, None),
    ],
)
def test_a_gpu_tells_what_it_supports(supports, source):
    found = Gpu(Nvml(**supports), "handle")
    assert found.source == source
    assert found.sample().utilisation == 0.8
    assert Gpu(Nvml(rates=False), "handle").sample() == Sample(5000.0, 300.0, None)


def test_nvml_is_found_by_the_gpus_uuid(monkeypatch):
    nvml = Nvml()
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda _: SimpleNamespace(uuid="12345678-aaaa-bbbb-cccc-123456789abc")
    )
    found = meter.find(torch.device("cuda", 0))
    assert found is not None
    assert nvml.asked == ["GPU-12345678-aaaa-bbbb-cccc-123456789abc"]
    assert found.sample().joules == 5000.0


def test_without_nvml_there_are_no_counters(monkeypatch):
    monkeypatch.setattr(meter, "_NVML", ("mfsweep.no_such_module",))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(uuid="0"))
    assert meter.find(torch.device("cuda", 0)) is None


def zones(folder, *energies, most=1_000):
    for number, energy in enumerate(energies):
        zone = folder / f"intel-rapl:{number}"
        zone.mkdir(parents=True, exist_ok=True)
        (zone / "name").write_text(f"package-{number}\n")
        (zone / "energy_uj").write_text(f"{energy}\n")
        (zone / "max_energy_range_uj").write_text(f"{most}\n")
        core = folder / f"intel-rapl:{number}:0"
        core.mkdir(exist_ok=True)
        (core / "name").write_text("core\n")
    return folder


@given(st.lists(st.lists(st.integers(0, 999), min_size=2, max_size=2), min_size=1, max_size=8))
def test_cpu_packages_are_summed_over_counters_that_begin_anew(tmp_path_factory, steps):
    folder, at = tmp_path_factory.mktemp("powercap"), [3, 990]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(meter, "POWERCAP", zones(folder, *at))
        found = meter.find(CPU)
        for step in steps:
            at = [(own + more) % 1_000 for own, more in zip(at, step, strict=True)]
            zones(folder, *at)
            said = found.sample().joules
        assert said == pytest.approx(sum(map(sum, steps)) / 1e6)


def test_packages_that_may_not_be_read_tell_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(meter, "POWERCAP", zones(tmp_path, 1))

    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(meter, "_number", refuse)
    assert meter.find(CPU) is None
    monkeypatch.setattr(meter, "POWERCAP", tmp_path / "missing")
    assert meter.find(CPU) is None


def test_it_writes_what_it_saw_when_the_work_ends(monkeypatch, tmp_path):
    monkeypatch.setattr(meter, "find", lambda _: Played("nvml", Sample(1.0, 1.0, 0.5), Sample(4.0, 1.0, 0.5)))
    with pytest.raises(KeyError), Meter(tmp_path / "usage", 3, CPU, shared=False):
        raise KeyError
    (path,) = (tmp_path / "usage").iterdir()
    part = UsagePart.model_validate(json.loads(path.read_text()))
    assert (part.rank, part.joules, part.samples) == (3, 3.0, 2)


def test_a_folder_that_cannot_be_written_stops_no_stage(monkeypatch, tmp_path):
    (tmp_path / "usage").write_text("in its place")
    monkeypatch.setattr(meter, "find", lambda _: None)
    with Meter(tmp_path / "usage", 0, CPU, shared=False):
        pass


def test_the_thread_samples_and_writes_while_the_work_goes_on(monkeypatch, tmp_path):
    monkeypatch.setattr(meter, "SAMPLE_SECONDS", 0.01)
    monkeypatch.setattr(meter, "WRITE_SECONDS", 0.0)
    monkeypatch.setattr(meter, "find", lambda _: None)
    wrote = []
    write = meter.write_json
    monkeypatch.setattr(meter, "write_json", lambda path, value: write(path, value) or wrote.append(value["samples"]))
    with Meter(tmp_path / "usage", 0, CPU, shared=False) as made:
        for _ in range(1000):
            if len(wrote) > 1:
                break
            made._ended.wait(0.02)
    assert len(wrote) > 2
    assert wrote == sorted(wrote)


def part(**fields):
    return UsagePart(**({"rank": 0, "host": "one", "time": 1.0, "seconds": 10.0, "samples": 5} | fields))


def test_ranks_and_resumed_parts_add_up():
    parts = [
        part(joules=5.0, source="nvml", utilisation=0.5, memory_gib=2.0),
        part(joules=7.0, source="nvml", utilisation=1.0, memory_gib=3.0, rank=1, seconds=30.0, host="two"),
    ]
    found = together(parts)
    assert (found.seconds, found.joules, found.source, found.memory_gib) == (40.0, 12.0, "nvml", 3.0)
    assert found.utilisation == pytest.approx((0.5 * 10 + 1.0 * 30) / 40)
    assert together([*parts, part()]).joules is None, "a part of it is not known"
    assert together([]) is None


def test_a_machine_that_ranks_share_is_counted_once():
    parts = [part(joules=5.0, source="rapl", rank=rank) for rank in range(4)]
    assert together(parts).joules == 5.0
    assert together([*parts, part(joules=5.0, source="rapl", rank=4, host="two")]).joules is None


def test_packages_of_no_zone_are_nothing():
    assert Packages([]).sample().joules == 0.0
