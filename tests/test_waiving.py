"""What a waiver lets pass and what it does not, rule by rule; nothing here touches a store."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import pathlib

import pytest

from waybill.records import verdict_file, waiving
from waybill.records.errors import RecordError, VerdictFileError
from waybill.records.person import check_person, one_line, same_person
from waybill.records.verdict import MAX_EVIDENCE, Decision, Rule, RuleOutcome, Verdict
from waybill.records.waivable import UNWAIVABLE, WaiverPolicy, check_rule
from waybill.records.waiver import IGNORED, Waiver

UTC = dt.timezone.utc
Q1, Q2 = dt.datetime(2016, 1, 1, tzinfo=UTC), dt.datetime(2016, 4, 1, tzinfo=UTC)
NOW = dt.datetime(2016, 5, 1, 12, tzinfo=UTC)
POLICY = WaiverPolicy(max_days=90, max_subjects=2)
DROP = Rule("volume.rows", "span 201601010000", RuleOutcome.BLOCK, "at least half of the quarter before", "12 %", tuple("abcde"))
GOOD = Rule("rows.enough", "span 201601010000", RuleOutcome.PASS, "at least 50 rows", "830 rows")
APPROVED = Waiver(
    number=1,
    interval_start=Q1.isoformat(),
    gate="data_gate",
    rule="volume.rows",
    subject="span 201601010000",
    every_subject=False,
    found="12 %",
    why="one company stopped reporting",
    expires="2016-06-01T00:00:00+00:00",
    requested_by="os:ada",
    requested_at=int(NOW.timestamp() * 1000),
    approved_by="os:bob",
)


def waiver(**changes: object) -> Waiver:
    return dataclasses.replace(APPROVED, **changes)


def judged(*waivers: Waiver, rules: tuple[Rule, ...] = (DROP, GOOD), start: dt.datetime = Q1, now: dt.datetime = NOW) -> Verdict:
    return waiving.waive("data_gate", start, rules, waivers, POLICY, now)


def ignored(verdict: Verdict) -> list[str]:
    return [rule.found for rule in verdict.rules if rule.name == IGNORED]


def test_an_approved_waiver_lets_its_rule_pass_and_the_verdict_says_who_why_and_until_when() -> None:
    verdict = judged(APPROVED)
    [rule] = verdict.waived()
    assert verdict.decision is Decision.WAIVED and verdict.decision.opens
    assert (rule.name, rule.found, rule.waiver) == ("volume.rows", "12 %", APPROVED.applied(NOW))
    assert len(rule.evidence) == MAX_EVIDENCE
    for word in ("waiver 1", "os:ada", "os:bob", "2016-06-01", "one company stopped reporting"):
        assert word in rule.evidence[0] and word in verdict.summary()
    assert ignored(verdict) == []


def test_a_rule_that_still_blocks_keeps_the_gate_closed() -> None:
    other = dataclasses.replace(DROP, name="drift.category")
    verdict = judged(APPROVED, rules=(DROP, other))
    assert verdict.decision is Decision.BLOCKED and not verdict.decision.opens
    assert verdict.summary().startswith("data_gate: BLOCKED by 1 of 2 rules")


def test_a_verdict_without_a_blocking_rule_passes_as_ever() -> None:
    assert judged(rules=(GOOD,)) == Verdict.judge("data_gate", [GOOD])
    assert judged(APPROVED, rules=()).decision is Decision.BLOCKED


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"expires": "2016-05-01T12:00:00+00:00"}, "expired: it held until 2016-05-01T12:00:00"),
        ({"expires": "2016-05-01"}, "expired: it held until 2016-05-01"),
        ({"expires": "2016-12-01"}, "the policy allows 90 days"),
        ({"expires": "for ever"}, "'for ever', which is no date"),
        ({"approved_by": ""}, "not approved yet"),
        ({"approved_by": "os:ada"}, "approval by os:ada, who asked for it, does not count"),
        ({"approved_by": "airflow:Ada"}, "approval by airflow:Ada, who asked for it, does not count"),
        ({"approved_by": "bob"}, "got 'bob', expected a person as `os:ada`"),
        ({"requested_by": ""}, "expected a person"),
        ({"why": " "}, "its reason is empty"),
        ({"withdrawn_by": "os:eve", "withdrawn_why": "it was a fault"}, "withdrawn by os:eve: it was a fault"),
        ({"subject": "span 201510010000"}, "volume.rows did not block on span 201510010000"),
        ({"rule": "rows.enough"}, "rows.enough did not block"),
        ({"rule": "volume.*"}, "too wide: it is for the rule 'volume.*'"),
        ({"rule": ""}, "too wide: it is for the rule ''"),
        ({"rule": "rows.conserved"}, "rows.conserved can never be waived: rows were lost"),
        ({"gate": "*"}, "too wide: it is for the gate '*'"),
        ({"interval_start": "2016-01-01,2016-04-01"}, "too wide: it is for the interval '2016-01-01,2016-04-01'"),
        ({"interval_start": ""}, "too wide: it is for the interval ''"),
    ],
)
def test_a_waiver_that_does_nothing_says_why_and_lets_nothing_pass(changes: dict[str, object], why: str) -> None:
    verdict = judged(waiver(**changes))
    assert verdict.decision is Decision.BLOCKED
    [found] = ignored(verdict)
    assert why in found
    assert f"waiver.ignored on waiver 1: expected one that lets {waiver(**changes).words} pass, found " in verdict.summary()


def test_a_waiver_of_one_quarter_does_nothing_in_the_next() -> None:
    verdict = judged(APPROVED, start=Q2)
    assert verdict == Verdict.judge("data_gate", [DROP, GOOD])


def test_a_waiver_of_another_gate_does_nothing() -> None:
    assert judged(waiver(gate="model_gate")) == Verdict.judge("data_gate", [DROP, GOOD])


def test_a_waiver_without_a_subject_is_for_the_only_one_unless_it_is_for_every_one() -> None:
    two = tuple(dataclasses.replace(DROP, subject=f"span {i}") for i in range(2))
    three = (*two, dataclasses.replace(DROP, subject="span 2"))
    assert judged(waiver(subject="")).decision is Decision.WAIVED
    assert "too wide: volume.rows blocks on 2 subjects, and it names none" in ignored(judged(waiver(subject=""), rules=two))[0]
    assert judged(waiver(subject="", every_subject=True), rules=two).decision is Decision.WAIVED
    wide = judged(waiver(subject="", every_subject=True), rules=three)
    assert wide.decision is Decision.BLOCKED
    assert "too wide: volume.rows blocks on 3 subjects, and the policy allows 2 at once" in ignored(wide)[0]


def test_of_two_waivers_for_one_rule_the_first_counts_and_the_second_says_so() -> None:
    verdict = judged(APPROVED, waiver(number=5))
    assert [r.waiver.number for r in verdict.waived() if r.waiver] == [1]
    assert ignored(verdict) == ["waiver 1 lets it pass already"]


def test_many_useless_waivers_are_counted_and_not_all_named() -> None:
    verdict = judged(*(waiver(number=i, approved_by="") for i in range(100)))
    assert len(verdict.rules) < 30
    assert "80 more that do nothing" in ignored(verdict)[-1]


def test_what_the_journal_holds_of_strange_characters_does_not_reach_the_verdict() -> None:
    verdict = judged(waiver(withdrawn_by="os:eve", withdrawn_why="a\n\x1b[31mred" + "x" * 10_000))
    [found] = ignored(verdict)
    assert found.isprintable() and len(found) <= 500


@pytest.mark.parametrize("prefix", [prefix for prefix, _ in UNWAIVABLE])
def test_rules_about_missing_evidence_can_never_be_waived(prefix: str) -> None:
    name = prefix if not prefix.endswith((".", "_")) else f"{prefix}thing"
    blocking = dataclasses.replace(DROP, name=name)
    verdict = judged(waiver(rule=name), rules=(blocking,))
    assert verdict.decision is Decision.BLOCKED and "can never be waived" in ignored(verdict)[0]
    with pytest.raises(RecordError, match="can never be waived"):
        check_rule(name)
    assert Verdict.judge("data_gate", [blocking.waived_by(APPROVED.applied(NOW))]).decision is Decision.BLOCKED


@pytest.mark.parametrize("rule", ["*", "volume.*", "volume", "volume.rows,drift.x", "volume.rows\n", "", "a." + "x" * 200])
def test_only_the_exact_name_of_a_rule_can_be_asked_for(rule: str) -> None:
    with pytest.raises(RecordError, match="expected the exact name of one rule"):
        check_rule(rule)


def test_a_waived_verdict_survives_its_file(tmp_path: pathlib.Path) -> None:
    verdict = judged(APPROVED, waiver(number=2, approved_by=""))
    verdict_file.write(tmp_path, verdict)
    assert verdict_file.read(tmp_path, "data_gate") == verdict


def forged(tmp_path: pathlib.Path, decision: str, outcome: str, named: object) -> None:
    value = Verdict.judge("data_gate", [DROP, GOOD]).to_json()
    value["decision"] = decision
    value["rules"][0].update(outcome=outcome, waiver=named)
    (tmp_path / "verdict.json").write_text(json.dumps(value))


@pytest.mark.parametrize(
    ("decision", "outcome", "named", "complaint"),
    [
        ("WAIVED", "BLOCK", None, "says WAIVED, but its own rules say BLOCKED"),
        ("WAIVED", "WAIVED", None, "says WAIVED, but its own rules say BLOCKED"),
        ("PASS", "WAIVED", dataclasses.asdict(APPROVED.applied(NOW)), "says PASS, but its own rules say WAIVED"),
        ("WAIVED", "PASS", None, "says WAIVED, but its own rules say PASS"),
        ("WAIVED", "WAIVED", {"number": 1}, "is damaged"),
        ("WAIVED", "WAIVED", "yes", "is damaged"),
    ],
)
def test_a_verdict_whose_decision_does_not_follow_from_its_rules_is_not_read(
    tmp_path: pathlib.Path, decision: str, outcome: str, named: object, complaint: str
) -> None:
    forged(tmp_path, decision, outcome, named)
    with pytest.raises(VerdictFileError, match=complaint):
        verdict_file.read(tmp_path, "data_gate")


def test_a_verdict_that_names_a_waiver_is_held_against_the_record() -> None:
    verdict = judged(APPROVED)
    assert waiving.unsupported(verdict, Q1, [APPROVED], POLICY) == []
    assert waiving.unsupported(verdict, Q1, [waiver(number=2)], POLICY) != []


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"withdrawn_by": "os:eve", "withdrawn_why": "it was a fault"}, "withdrawn by os:eve"),
        ({"approved_by": ""}, "not approved yet"),
        ({"approved_by": "os:ada"}, "does not count"),
        ({"expires": "2016-04-30"}, "expired"),
        ({"interval_start": Q2.isoformat()}, "it is for volume.rows on span 201601010000 at data_gate, interval of 2016-04-01"),
        ({"gate": "model_gate"}, "at model_gate"),
        ({"subject": "span 1"}, "it is for volume.rows on span 1"),
        ({"rule": "volume.rise"}, "it is for volume.rise"),
        ({"why": "another reason"}, "the record says: .*another reason"),
        ({"approved_by": "os:carol"}, "the record says: .*os:carol"),
    ],
)
def test_a_waiver_that_the_record_tells_otherwise_supports_nothing(changes: dict[str, object], why: str) -> None:
    [reason] = waiving.unsupported(judged(APPROVED), Q1, [waiver(**changes)], POLICY)
    assert reason.startswith("waiver 1 does not let volume.rows on span 201601010000 pass: ")
    __import__("re").search(why, reason) or pytest.fail(reason)


def test_one_waiver_written_on_more_rules_than_it_covers_supports_none_of_them() -> None:
    named = APPROVED.applied(NOW)
    two = [dataclasses.replace(DROP, subject=f"span {i}").waived_by(named) for i in range(2)]
    reasons = waiving.unsupported(Verdict.judge("data_gate", two), Q1, [waiver(subject="")], POLICY)
    assert len(reasons) == 2 and "too wide" in reasons[0]


@pytest.mark.parametrize("text", ["", "  ", "two\nlines", "a\x1b[31m", "\u202eesrever", "nul\x00", "\udcff", "x" * 501, "x" * 10_000_000])
def test_what_people_write_is_one_visible_line_or_refused_in_a_short_message(text: str) -> None:
    with pytest.raises(RecordError) as caught:
        one_line("--why", text)
    assert len(str(caught.value)) < 300 and str(caught.value).isprintable()


def test_people_are_told_apart_by_their_names_and_not_by_whose_users_they_are() -> None:
    assert same_person("os:ada", "airflow:Ada") and not same_person("os:ada", "os:bob")
    for bad in ("ada", "os:", "ldap:ada", "os: ada", "airflow:a\nb", ""):
        with pytest.raises(RecordError, match="expected a person"):
            check_person(bad)
