"""The page about a verdict: everything that matters is on it, nothing from the data acts on it, and it never costs a gate its verdict."""

from __future__ import annotations

import dataclasses
import enum
import html.parser
import math
import pathlib

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from components.types import Verdict as VerdictArtifact
from components.types import record
from pipelines.taxi.policy import MODEL_POLICY
from waybill.gates import model_rules, report, report_data, report_model
from waybill.gates.evaluation import Evaluation, SliceMetrics
from waybill.gates.report_charts import Bar, Bucket, Dot, bars, dots, histograms
from waybill.gates.report_plot import Plot, attempt
from waybill.gates.report_svg import ticks
from waybill.gates.report_text import shown
from waybill.records import verdict_file
from waybill.records.verdict import Decision, Rule, RuleOutcome, Verdict

MARKUP = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'><!--{{70001*3}}{% raw %}"
HOSTILE = (MARKUP, "a\u202eb\u2066c", "NUL\0byte", "\ud800", "\ufeff\uffff", "e" + "\u0301" * 500, "long " * 5000, "line\nbreak\r\n\u2028x")
ABOUT = {"run": "taxi.201307010000.g1", "interval": "2013-07-01 to 2013-10-01", "run spec": "sha256:" + "a" * 64}
SCHEMA = (
    'feature { name: "paid" type: BYTES string_domain { name: "paid" value: "Cash" value: "Card" } } feature { name: "fare" type: FLOAT }'
)


finite = st.floats(allow_nan=False, allow_infinity=False)


class Reader(html.parser.HTMLParser):
    """What a browser would make of a page: its tags, their attributes, and its words."""

    def __init__(self, page: str):
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.words += data


def rule(name: str = "schema.x", subject: str = "fare", outcome: RuleOutcome = RuleOutcome.BLOCK, **how: object) -> Rule:
    return Rule(**{"name": name, "subject": subject, "outcome": outcome, "expected": "E", "found": "F", **how})


def judged(*rules: Rule) -> Verdict:
    return Verdict.judge("data_gate", rules)


def test_the_page_shows_the_decision_the_run_and_every_rule_that_blocks_with_all_it_says() -> None:
    rules = [rule(f"rows.r{i}", f"span {i}", expected=f"wanted {i}", found=f"got {i}", evidence=(f"fact {i}",)) for i in range(40)]
    read = Reader(report.page(judged(*rules), ABOUT))
    assert "data_gate: BLOCKED" in read.words
    assert "40 of 40 rules say no" in read.words
    assert all(word in read.words for pair in ABOUT.items() for word in pair)
    for r in rules:
        assert all(word in read.words for word in (r.name, r.subject, r.expected, r.found, *r.evidence))


def test_what_blocks_comes_first_then_warnings_then_what_was_not_judged_then_folded_what_passed() -> None:
    order = (RuleOutcome.BLOCK, RuleOutcome.WARN, RuleOutcome.NOT_JUDGED, RuleOutcome.PASS)
    rules = [rule(subject=f"about {outcome.value}", outcome=outcome) for outcome in reversed(order)]
    page = report.page(judged(*rules), ABOUT)
    places = [page.index(f"about {outcome.value}") for outcome in order]
    assert places == sorted(places)
    assert page.rindex("<details", 0, places[3]) > places[2]
    assert "<details" not in page[: places[2]]


def test_a_verdict_on_nothing_and_one_that_passed_say_so() -> None:
    assert "nothing to judge by" in report.page(judged(), {})
    page = report.page(judged(rule(outcome=RuleOutcome.PASS)), {})
    assert "data_gate: PASS" in Reader(page).words
    assert "What blocks" not in page


@pytest.mark.parametrize("text", HOSTILE, ids=[f"hostile {i}" for i in range(len(HOSTILE))])
def test_whatever_the_data_hold_is_only_words(text: str) -> None:
    plots = [
        Plot(text, text, bars([Bar(text, 1.0, 0.5, text, strange=True)], text), (text,), ((text,),), text),
        Plot(text, text, dots([Dot(text, 0.5, (0.4, 0.6), text)], [0.3], text), problem=text),
    ]
    page = report.page(judged(rule(text, text, expected=text, found=text, evidence=(text,))), {text: text}, plots)
    page.encode("utf-8")
    plain = Reader(report.page(judged(rule(evidence=("x",))), {"x": "x"}, [dataclasses.replace(p, title="x") for p in plots]))
    read = Reader(page)
    assert set(read.tags) <= set(plain.tags)
    assert not {name for name, _ in read.attributes} & {"src", "onerror", "onload", "srcset", "style"}
    assert not [c for c in page if c in "\0\u202e\u2066\u2028\ufeff\uffff\r" or "\ud800" <= c <= "\udfff"]
    assert "\u0301" * 9 not in page
    assert "210003" not in page, "nothing evaluates it"
    assert len(page) < 60_000


def test_a_page_asks_nothing_of_anybody_else() -> None:
    page = report.page(judged(rule()), ABOUT, [Plot("p", picture=bars([Bar("a", 1, None, "1")], "p"))])
    read = Reader(page)
    assert not {"script", "link", "iframe", "img", "object", "form"} & set(read.tags)
    assert [v for n, v in read.attributes if n in ("href", "src") and not str(v).startswith("#")] == []
    assert "url(" not in page and "@import" not in page and "http" not in page


def test_however_much_there_is_the_page_stays_bounded_and_says_what_it_left_out() -> None:
    long = {"expected": "'" * 900, "found": "&" * 900, "evidence": ("<" * 900,) * 5}
    rules = [rule(subject=f"s{i}", outcome=outcome, **long) for outcome in RuleOutcome for i in range(2000)]
    table = tuple((str(i), "<" * 900) for i in range(5000))
    plots = [Plot(f"plot {i}", head=("a", "b"), rows=table, urgent=i == 299) for i in range(300)]
    page = report.page(judged(*rules), ABOUT, plots)
    assert len(page.encode()) < 8 << 20
    assert f"{2000 - report.MAX_RULES} more are in verdict.json" in page
    assert f"{300 - report.MAX_PLOTS} more plots are left out" in page
    assert "plot 299" in page, "what the verdict is about is not what is left out"
    assert "more rows are left out" in page


def test_the_same_verdict_gives_the_same_bytes(tmp_path: pathlib.Path) -> None:
    first, second = (
        report.page(judged(rule(), rule("a")), ABOUT, report_data.plots(statistics(tmp_path), schema(), judged())) for _ in "ab"
    )
    assert first == second
    assert "2013-07-01" in first


def test_a_plot_that_fails_is_named_and_the_others_are_drawn(tmp_path: pathlib.Path) -> None:
    def broken() -> Plot:
        raise ZeroDivisionError("<b>no rows</b>")

    page = report.page(judged(rule()), {}, [attempt("sunk", "Plots", broken), Plot("afloat", picture=bars([Bar("a", 1, None, "1")], "x"))])
    assert "could not be drawn" in page and "ZeroDivisionError: &lt;b&gt;no rows" in page
    assert "afloat" in page and page.count("<svg") == 1


def test_a_gate_publishes_its_verdict_though_no_plot_can_be_drawn(tmp_path: pathlib.Path) -> None:
    def broken() -> list[Plot]:
        raise OSError("the statistics are gone")

    artifact = VerdictArtifact()
    artifact.uri = str(tmp_path / "verdict")
    record(judged(rule(found="found it")), artifact, broken)
    assert verdict_file.read(tmp_path / "verdict", "data_gate").decision is Decision.BLOCKED
    page = (tmp_path / "verdict/report.html").read_text()
    assert "the statistics are gone" in page
    assert "found it" in page


def test_a_page_that_cannot_be_made_leaves_the_verdict_alone(tmp_path: pathlib.Path) -> None:
    artifact = VerdictArtifact()
    artifact.uri = str(tmp_path)
    record(judged(rule()), artifact, lambda: [Plot("x", rows=3)])  # type: ignore[arg-type]
    assert [p.name for p in tmp_path.iterdir()] == [verdict_file.FILE_NAME]
    assert artifact.decision == "BLOCKED"


def test_the_page_names_the_run_that_the_launcher_noted_on_the_artifact(tmp_path: pathlib.Path) -> None:
    artifact = VerdictArtifact()
    artifact.uri = str(tmp_path)
    noted = {"pipeline": "taxi", "unit": "taxi.201307010000.g2", "run_spec": "sha256:beef", "interval_start": "2013-07-01T00:00:00+00:00"}
    for name, value in {**noted, "interval_end": "2013-10-01T06:00:00+00:00"}.items():
        artifact.set_string_custom_property(name, value)
    artifact.set_int_custom_property("generation", 2)
    record(judged(rule()), artifact)
    words = Reader((tmp_path / "report.html").read_text()).words
    for word in ("taxi.201307010000.g2", "sha256:beef", "2013-07-01 to 2013-10-01T06:00:00+00:00"):
        assert word in words


def test_decisions_outcomes_and_fields_that_are_new_are_shown_under_their_own_names() -> None:
    class Newer(str, enum.Enum):
        WAIVED = "WAIVED"
        POSTPONED = "POSTPONED"

    @dataclasses.dataclass(frozen=True)
    class NewerRule(Rule):
        waiver: str = ""

    @dataclasses.dataclass(frozen=True)
    class NewerVerdict(Verdict):
        def to_json(self) -> dict:
            return {**super().to_json(), "waivers": [{"id": "w-17", "asked": "ann", "approved": "bob"}]}

    waived = NewerRule("drift.x", "fare", Newer.WAIVED, "E", "F", (), "w-17 by ann, approved by bob")
    rules = (waived, rule(subject="tips", outcome=Newer.POSTPONED), rule(subject="miles"))
    page = report.page(NewerVerdict("data_gate", Newer.WAIVED, rules), {})
    read = Reader(page)
    assert "data_gate: WAIVED" in read.words
    assert "1 of 3 rules would say no, and was waived." in read.words and "POSTPONED" in read.words
    assert "w-17 by ann, approved by bob" in read.words
    assert "id: w-17; asked: ann; approved: bob" in read.words
    assert page.index("miles") < page.index("w-17 by ann") < page.index("tips")


def test_a_feature_is_drawn_now_over_the_span_before_and_a_strange_value_stands_out(tmp_path: pathlib.Path) -> None:
    blocked = judged(rule(subject="paid, split train of span 201307010000"))
    rows, fare, paid = report_data.plots(statistics(tmp_path), schema(), blocked)
    assert not any(p.problem for p in (rows, fare, paid))
    assert (fare.title, paid.title, fare.urgent, paid.urgent) == ("fare", "paid", False, True)
    assert 'class="now"' in fare.picture and 'class="before"' in fare.picture
    assert rows.rows == (("2013-04-01", "10", "90", "100"), ("2013-07-01", "10", "90", "100"))
    assert 'class="strange"' in paid.picture and "not in the schema" in paid.picture
    assert ("Barter", "25.0\u202f%", "0 %") in paid.rows
    assert {r[0]: r[1:] for r in fare.rows}["largest"] == ("40", "20")


def test_a_feature_that_breaks_arithmetic_does_not_keep_the_others_from_being_drawn(tmp_path: pathlib.Path) -> None:
    odd = statistics(tmp_path, fare=(math.nan, math.inf))
    drawn = {p.title: p for p in report_data.plots(odd, schema(), judged())}
    assert not drawn["paid"].problem
    report.page(judged(), {}, list(drawn.values())).encode()


def test_slices_are_drawn_with_interval_and_threshold_the_worst_first_beside_the_baseline() -> None:
    evaluation = Evaluation(
        (metrics(""), metrics("company", "Ruin & Co", binary_accuracy=0.2), metrics("company", "Fine", n=500)), True, ()
    )
    verdict = Verdict.judge("model_gate", model_rules.judge(evaluation, MODEL_POLICY))
    drawn = {p.title: p for p in report_model.plots(evaluation, MODEL_POLICY, verdict)}
    assert not [p.problem for p in drawn.values() if p.problem]
    auc, sliced = drawn["auc"], drawn["binary_accuracy by company"]
    assert [row[0] for row in auc.rows] == ["candidate", "baseline"]
    assert sliced.urgent and [row[0] for row in sliced.rows] == ["Ruin & Co", "Fine"]
    assert [row[3] for row in sliced.rows] == ["block", "pass"]
    assert 'class="interval BLOCK"' in sliced.picture and 'class="bound"' in sliced.picture
    assert "Ruin &amp; Co" in sliced.picture


def test_classes_that_are_taken_for_others_are_named_the_most_frequent_mistakes_first() -> None:
    told = {(0, 0): 30, (1, 1): 6, (1, 7): 3, (7, 1): 1, (7, 7): 20}
    evaluation = Evaluation((metrics(""),), True, (), told)
    drawn = {p.title: p for p in report_model.plots(evaluation, MODEL_POLICY, judged())}
    mistaken = drawn["Classes taken for others"]
    assert not mistaken.problem
    assert mistaken.says == "4 of 60 examples were taken for another class than they are."
    assert mistaken.rows == (("1", "7", "3", "33.3\u202f%"), ("7", "1", "1", "4.8\u202f%"))
    assert "1 as 7" in mistaken.picture
    faultless = report_model.plots(dataclasses.replace(evaluation, told={(0, 0): 30}), MODEL_POLICY, judged())
    assert [p.says for p in faultless if p.title == mistaken.title] == ["0 of 30 examples were taken for another class than they are."]


@given(st.lists(st.tuples(*[st.floats()] * 3), max_size=12), st.tuples(finite, finite))
def test_no_numbers_break_a_histogram(buckets: list[tuple[float, float, float]], domain: tuple[float, float]) -> None:
    drawn = histograms([Bucket(*b) for b in buckets], [], domain, "says")
    assert "nan" not in drawn and "inf" not in drawn


@given(st.lists(st.tuples(st.floats(), st.none() | st.tuples(st.floats(), st.floats())), max_size=6), st.lists(st.floats(), max_size=2))
def test_no_numbers_break_a_row_of_dots(rows: list[tuple[float, tuple[float, float] | None]], bounds: list[float]) -> None:
    drawn = dots([Dot("label", value, interval, "PASS") for value, interval in rows], bounds, "says")
    assert "nan" not in drawn and "inf" not in drawn


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9), st.integers(2, 6))
def test_ticks_are_few_round_and_inside(low: float, width: float, about: int) -> None:
    found = ticks(low, low + width, about)
    assert len(found) <= 2 * about + 1
    assert found == sorted(found)


@given(st.text())
def test_shown_text_is_one_line_that_utf8_can_hold(text: str) -> None:
    found = shown(text, 50)
    assert found.encode("utf-8") is not None
    assert found.isprintable() or set(found) & {"\u200c", "\u200d"} or any(c.isspace() for c in found)
    assert "\n" not in found and "\0" not in found


def schema() -> schema_pb2.Schema:
    return text_format.Parse(SCHEMA, schema_pb2.Schema())


def statistics(root: pathlib.Path, fare: tuple[float, float] = (0.0, 20.0)) -> dict[int, tuple[pathlib.Path, list[str]]]:
    """Statistics of two spans of 100 rows, of which 90 to train on; in the newer one fares are twice as high and some pay in kind."""
    found = {}
    for times, span in ((1, 201304010000), (2, 201307010000)):
        for split, rows in (("train", 90), ("eval", 10)):
            counted = statistics_pb2.DatasetFeatureStatisticsList()
            data = counted.datasets.add(num_examples=rows)
            number = data.features.add(name="fare", type=statistics_pb2.FeatureNameStatistics.FLOAT).num_stats
            number.min, number.max, number.mean, number.common_stats.num_non_missing = fare[0], fare[1] * times, 5.0, rows
            for kind in (statistics_pb2.Histogram.STANDARD, statistics_pb2.Histogram.QUANTILES):
                histogram = number.histograms.add(type=kind)
                for i in range(10):
                    low, high = (fare[0] + fare[1] * times * (i + j) / 10 for j in (0, 1))
                    histogram.buckets.add(low_value=low, high_value=high, sample_count=rows / 10)
            words = data.features.add(name="paid", type=statistics_pb2.FeatureNameStatistics.STRING).string_stats
            words.common_stats.num_non_missing = words.common_stats.tot_num_values = 100
            for label, count in {"Cash": 75, "Barter" if times == 2 else "Card": 25}.items():
                words.rank_histogram.buckets.add(label=label, sample_count=count)
            folder = root / str(span) / f"Split-{split}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "FeatureStats.pb").write_bytes(counted.SerializeToString())
        found[span] = (root / str(span), ["eval", "train"])
    return found


def metrics(feature: str, value: str = "", n: int = 400, **changes: float) -> SliceMetrics:
    good = {"auc": 0.9, "binary_accuracy": 0.9, "calibration": 1.0, "example_count": n, "mean_label": 0.25}
    return SliceMetrics(feature, f"{feature} = {value}" if feature else "overall", {**good, **changes}, {**good, "auc": 0.91})
