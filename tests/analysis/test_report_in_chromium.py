"""The report as a reader sees it: a real browser opens it, sorts its tables, and changes its width and colours."""

from __future__ import annotations

import pytest
from browser import chromium, complaints, look, needs_chromium

from mfsweep.analysis.figures import Residual
from mfsweep.analysis.report import write_report
from mfsweep.analysis.study import ReportStudy
from mfsweep.analysis.transfer import FitRequest

pytestmark = needs_chromium
X, Y = "pretrain.validation.energy_mae", "result.test.cc.energy_mae"

CLIPPED = """
const wide = document.documentElement.clientWidth;
const scrolled = (element) => element.closest(".scroll, pre, figure.wide svg, svg");
return [...document.querySelectorAll("main *")]
  .filter((element) => !scrolled(element) && element.getBoundingClientRect().right > wide + 0.5)
  .map((element) => element.tagName + " " + element.textContent.slice(0, 40));
"""
OUTSIDE = """
return [...document.querySelectorAll("figure svg")].filter((svg) => {
  const box = svg.getBoundingClientRect();
  return box.height < 100 || [...svg.querySelectorAll("g[id*=text_]")].some((text) => {
    const own = text.getBoundingClientRect();
    return own.left < box.left - 1 || own.right > box.right + 1 || own.top < box.top - 1 || own.bottom > box.bottom + 1;
  });
}).map((svg) => svg.getAttribute("aria-label"));
"""
INK = """
const text = document.querySelector("figure svg g[id*=text_] [style]");
return getComputedStyle(text).fill.match(/[0-9.]+/g).slice(0, 3).map(Number);
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def page(world, browser):
    world.grid({"dft": 1.35, "xtb": 0.8}, seeds=(0, 1), noise=0.05, capped=(25,))
    fits = [FitRequest("transfer", X, Y, ("label_method", "finetune_size"))]
    study = ReportStudy("demo", "name: demo", world.cells, fits, residuals=[Residual("dft", "cc", 18.2)])
    folder = world.store.sweep("demo")
    write_report(world.store, study, folder)
    look(browser, 1280)
    browser.get(folder.report.as_uri())
    return browser


def column(browser, table, place):
    return browser.execute_script(
        "return [...arguments[0].tBodies[0].rows].map((row) => row.cells[arguments[1]].textContent)", table, place
    )


def test_tables_sort_up_and_down_and_back_and_pooled_rows_stay_last(page):
    table = next(one for one in page.find_elements("css selector", "table") if "gradient" in one.text)
    heads = [head.text.rstrip() for head in table.find_elements("css selector", "th")]
    place = heads.index("gradient")
    button = table.find_elements("css selector", "th button")[place]
    before = column(page, table, 0), column(page, table, place)
    groups = [value for value in before[0] if not value.startswith("pooled")]
    button.click()
    up = [float(value) for value in column(page, table, place)[: len(groups)]]
    assert up == sorted(up)
    assert up != [float(value) for value in before[1][: len(groups)]]
    assert button.find_element("xpath", "..").get_attribute("aria-sort") == "ascending"
    assert all(name.startswith("pooled") for name in column(page, table, 0)[len(groups) :])
    button.click()
    assert [float(value) for value in column(page, table, place)[: len(groups)]] == up[::-1]
    button.click()
    assert (column(page, table, 0), column(page, table, place)) == before


def test_figures_are_drawn_and_nothing_is_clipped_on_light_and_dark_pages_and_the_console_is_silent(page):
    for width in (390, 768, 1280):
        look(page, width)
        assert page.execute_script(CLIPPED) == []
        assert page.execute_script("return document.documentElement.scrollWidth") <= width
        assert page.execute_script(OUTSIDE) == []
    assert len(page.find_elements("css selector", "figure svg")) == 4
    assert sum(page.execute_script(INK)) < 3 * 60
    look(page, 1280, dark=True)
    assert sum(page.execute_script(INK)) > 3 * 180
    background = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert background == "rgb(22, 24, 26)"
    assert complaints(page) == []
