"""`sdr report`: the tables of README, docs and notebooks, as the results store has them."""

import json

PLACE_WITH_LIE = "<!-- table made -->\n| model | accuracy |\n| little | 99.9 |\n<!-- end of table -->\n"


def test_json_prints_rows_and_changes_nothing(sdr, project, tables):
    assert json.loads(sdr("report", "--json").out) == []
    sdr("reproduce", "--jobs", 1, "--seeds", 1)
    (project.folder / "README.md").write_text(PLACE_WITH_LIE)
    done = sdr("report", "--json")
    assert (done.status, done.err) == (0, "")
    (row,) = json.loads(done.out)
    assert {"table", "model", "protocol", "accuracy_mean", "accuracy_std", "seeds", "parameters"} <= row.keys()
    assert (row["table"], row["model"], row["protocol"], row["seeds"]) == ("made", "little", "loso", 1)
    assert (project.folder / "README.md").read_text() == PLACE_WITH_LIE


def test_check_refuses_an_edited_table_and_report_repairs_it(sdr, project, tables):
    sdr("reproduce", "--jobs", 1, "--seeds", 1)
    (project.folder / "README.md").write_text(PLACE_WITH_LIE)
    sdr("report", "--check").refused("README.md", "a table does not match the results")
    assert (project.folder / "README.md").read_text() == PLACE_WITH_LIE
    done = sdr("report")
    assert done.status == 0 and "README.md" in done.out and "| little |" in done.out
    assert "99.9" not in (project.folder / "README.md").read_text()
    assert sdr("report", "--check").status == 0


def test_with_shows_a_row_beside_those_of_the_table(sdr, project, tables, write_config):
    write_config("linear", "mine", model={"size": 4})
    before = (project.folder / "README.md").read_text()
    sdr("report", "--with", "mine").refused("no table has a row of mine yet", "sdr reproduce course --with mine")
    sdr("reproduce", "--jobs", 1, "--seeds", 1, "--with", "mine")
    sdr("reproduce", "--jobs", 1, "--seeds", 1, "--with", "little")
    done = sdr("report", "--with", "mine")
    assert done.status == 0
    assert [line.split(" | ")[0] for line in done.out.splitlines() if line.startswith("| ")] == [
        "| model", "| ---", "| little", "| mine"
    ]  # fmt: skip
    little, mine = json.loads(sdr("report", "--with", "mine", "--json").out)
    assert (little["model"], mine["model"]) == ("little", "mine")
    assert mine["command"] == "sdr reproduce made --with mine" and little["command"].endswith("--model little")
    assert mine["parameters"] < little["parameters"]
    assert (project.folder / "README.md").read_text() == before
    assert [row["model"] for row in json.loads(sdr("report", "--json").out)] == ["little"]


def test_with_refuses_an_unknown_experiment_and_check(sdr, tables):
    sdr("report", "--with", "huge").refused("no file has an experiment 'huge'")
    sdr("report", "--with", "little", "--check").refused("--check")
