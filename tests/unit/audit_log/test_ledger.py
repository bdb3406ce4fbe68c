"""The ledger of a portfolio: at most as many shares as there are, whatever happens at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from airflow_provider_launchdarkly.audit_log import chain
from airflow_provider_launchdarkly.audit_log.chain import BrokenRecordError, Decision
from airflow_provider_launchdarkly.audit_log.ledger import SHARE, LedgerError, take_share
from airflow_provider_launchdarkly.audit_log.replay import replay
from airflow_provider_launchdarkly.audit_log.store import latest_wait, store_decision
from airflow_provider_launchdarkly.decision.evidence_json import evidence_to_json
from airflow_provider_launchdarkly.decision.judge import decide
from airflow_provider_launchdarkly.decision.policy import Policy
from support.audit_records import evidence
from support.quarter import target


def policy(experiments: int = 3, alpha: float = 0.06, name: str = "2026Q4") -> Policy:
    return Policy.from_json({"portfolio": {"name": name, "alpha": alpha, "experiments": experiments}})


def take(
    folder: object, key: str, judged: Policy | None = None, open_path: Callable[[str], Any] = Path, day: float = 0
) -> int:
    return take_share(
        target(key),
        (judged or policy()).to_json(),
        str(folder),
        open_path,
        at="2026-10-05T09:00:00+00:00",
        elapsed=timedelta(days=day),
        source="launchdarkly",
    )


def record(folder: Path, key: str) -> tuple[dict[str, Any], ...]:
    return chain.read((folder / "demo" / "production" / key / "it-1.jsonl").read_text())


def test_each_experiment_gets_a_share_until_none_is_left(tmp_path: Path) -> None:
    assert [take(tmp_path, key) for key in "abc"] == [1, 2, 3]
    with pytest.raises(LedgerError, match="portfolio '2026Q4' has no share left: its 3 are taken"):
        take(tmp_path, "d")


def test_a_share_is_kept_for_ever(tmp_path: Path) -> None:
    assert take(tmp_path, "a") == 1
    for key in "bc":
        take(tmp_path, key)
    with pytest.raises(LedgerError):
        take(tmp_path, "d")
    before = record(tmp_path, "a")
    assert [take(tmp_path, "a", day=day) for day in (1, 20)] == [1, 1]
    assert record(tmp_path, "a") == before


def test_a_new_iteration_of_an_experiment_takes_a_share_of_its_own(tmp_path: Path) -> None:
    take(tmp_path, "a")
    again = take_share(
        target("a", "it-2"), policy().to_json(), str(tmp_path), Path, at="", elapsed=timedelta(), source="sql"
    )
    assert again == 2


def test_portfolios_do_not_touch_each_other(tmp_path: Path) -> None:
    assert [take(tmp_path, key, policy(1, name=key)) for key in "ab"] == [1, 1]
    plain = policy().model_copy(update={"portfolio": None})
    look(tmp_path, plain, 1, "without")
    assert take(tmp_path, "c", policy(1, name="c")) == 1


@pytest.mark.parametrize("other", [policy(4), policy(3, alpha=0.03)])
def test_experiments_that_give_a_portfolio_other_numbers_are_refused_and_stand_in_nobody_s_way(
    tmp_path: Path, other: Policy
) -> None:
    take(tmp_path, "a")
    with pytest.raises(LedgerError, match=r"is alpha .* here and alpha 0.06 for 3 experiments in .*a/it-1.jsonl"):
        take(tmp_path, "b", other)
    assert take(tmp_path, "c") == 2


def test_a_broken_record_in_the_folder_is_named(tmp_path: Path) -> None:
    take(tmp_path, "a")
    file = next(tmp_path.rglob("*.jsonl"))
    file.write_text(file.read_text().replace("share 1", "share 2"))
    with pytest.raises(BrokenRecordError, match=f"its hash does not fit its content: it was changed .in {file}"):
        take(tmp_path, "b")


def look(folder: Path, judged: Policy, day: float, key: str = "a") -> None:
    measured = evidence(day)
    verdict = decide(judged, measured).to_json()
    decision = Decision(
        "2026-10-06T09:00:00+00:00", target(key), "sql", judged.to_json(), evidence_to_json(measured), verdict
    )
    store_decision(decision, str(folder), Path)


def test_a_record_with_a_share_replays_and_its_alpha_is_the_share(tmp_path: Path) -> None:
    take(tmp_path, "a")
    for day in range(1, 10):
        look(tmp_path, policy(), day)
    entries = record(tmp_path, "a")
    assert {entry["policy"]["alpha"] for entry in entries} == {0.06 / 3}
    assert [entry["verdict"].get(SHARE) for entry in entries[:3]] == [None, 1, None]
    assert replay(entries).agrees


def test_a_claim_is_no_look(tmp_path: Path) -> None:
    def latest() -> timedelta | None:
        return latest_wait(target("a"), policy().to_json(), str(tmp_path), Path)

    take(tmp_path, "a", day=2)
    assert latest() is None
    look(tmp_path, policy(), 1)
    assert latest() == timedelta(days=1)


class Crash(BaseException):
    """The process dies before an operation of the storage."""


class Scheduler:
    """Lets one of many threads do one operation of the storage at a time, in a drawn order, and kills some."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self._turn = threading.Condition()
        self._next: object = None
        self._kill = False
        self._waiting: set[int] = set()
        self._alive: set[int] = set()

    def start(self, number: int, work: Callable[[], None]) -> None:
        def run() -> None:
            try:
                work()
            except Crash:
                pass
            finally:
                with self._turn:
                    self._alive.discard(number)
                    self._turn.notify_all()

        self._alive.add(number)
        threading.Thread(target=run, name=str(number), daemon=True).start()

    def wait_for_turn(self) -> None:
        """Called by the threads, before each operation."""
        me = int(threading.current_thread().name)
        with self._turn:
            self._waiting.add(me)
            self._turn.notify_all()
            self._turn.wait_for(lambda: self._next == me)
            self._next = None
            self._waiting.discard(me)
            if self._kill:
                raise Crash

    def step(self, choice: int, *, kill: bool) -> bool:
        """Let one operation happen once all threads wait for their turn; False if all have ended."""
        with self._turn:
            assert self._turn.wait_for(lambda: self._next is None and self._waiting == self._alive, timeout=60)
            if not self._alive:
                return False
            waiting = sorted(self._waiting)
            self._kill = kill
            self._next = waiting[choice % len(waiting)]
            self._turn.notify_all()
            return True


class StorePath:
    """A path in an object store, each of whose operations waits for its turn."""

    protocol = "memory"

    def __init__(self, scheduler: Scheduler, name: str) -> None:
        self.scheduler, self.name = scheduler, name

    def __truediv__(self, name: str) -> Self:
        return type(self)(self.scheduler, f"{self.name}/{name}")

    @override
    def __str__(self) -> str:
        return self.name

    def read_text(self, encoding: str) -> str:
        self.scheduler.wait_for_turn()
        if self.name not in self.scheduler.files:
            raise FileNotFoundError(self.name)
        return self.scheduler.files[self.name]

    def write_text(self, data: str, encoding: str) -> int:
        self.scheduler.wait_for_turn()
        self.scheduler.files[self.name] = data
        return len(data)

    def rglob(self, pattern: str) -> Iterator[Self]:
        self.scheduler.wait_for_turn()
        return iter([type(self)(self.scheduler, name) for name in sorted(self.scheduler.files)])


@settings(deadline=None)
@given(
    experiments=st.integers(1, 4),
    keys=st.lists(st.sampled_from("abcde"), min_size=1, max_size=6),
    order=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), max_size=120),
)
def test_never_more_shares_than_there_are_whatever_the_order_the_crashes_and_the_retries(
    experiments: int, keys: list[str], order: list[tuple[int, int]]
) -> None:
    # A key that is drawn twice is two processes of one iteration.
    scheduler = Scheduler()
    given_out: dict[str, list[int]] = {key: [] for key in keys}
    refused: set[str] = set()

    def work(key: str) -> Callable[[], None]:
        def run() -> None:
            try:
                given_out[key].append(
                    take("decisions", key, policy(experiments), lambda name: StorePath(scheduler, name))
                )
            except LedgerError:
                refused.add(key)

        return run

    def play(moves: Iterator[tuple[int, int]], wanted: list[str]) -> None:
        for number, key in enumerate(wanted):
            scheduler.start(number, work(key))
        while True:
            choice, fate = next(moves, (0, 9))
            if not scheduler.step(choice, kill=fate == 0):
                return

    moves = iter(order)
    play(moves, keys)
    first = {key: list(shares) for key, shares in given_out.items()}
    # Every process is tried again, one after the other.
    for key in keys:
        play(iter(()), [key])
    winners = {key for key, shares in given_out.items() if shares}
    assert len(winners) <= experiments
    assert all(1 <= share <= experiments for shares in given_out.values() for share in shares)
    if len(set(keys)) == len(keys):
        assert all(len(set(shares)) == 1 for key, shares in given_out.items() if first[key]), "a share was lost"
    if len(set(keys)) <= experiments:
        assert winners == set(keys)
        assert not refused
