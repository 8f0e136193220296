"""Threads that share steps: nobody goes on before all have finished, and where the counters stand."""

from __future__ import annotations

import time
from threading import Thread

import pytest

from hwmodels.kernels.team import assembled, begin, finish, leave, pass_by


def in_threads(work: list[Thread]) -> None:
    for thread in work:
        thread.start()
    for thread in work:
        thread.join(20)
        assert not thread.is_alive()


@pytest.mark.parametrize("parts", [2, 3])
def test_counters_after_some_steps(parts: int) -> None:
    """All have begun and finished as many steps; nobody has left; in places of their own."""
    team, steps = assembled(parts), 5

    def run(part: int) -> None:
        for _ in range(steps):
            pass_by(team, part, parts)
        leave(team)  # of the last step nobody takes the next turn

    in_threads([Thread(target=run, args=(part,)) for part in range(parts)])
    assert team.shape == (24 + 8 * parts,)
    assert (team[0], team[8], team[16]) == (steps * parts, steps * parts, parts)
    assert team[24::8].tolist() == [steps] * parts
    assert team.sum() == 2 * steps * parts + parts + steps * parts


def test_one_thread_alone_counts_nothing() -> None:
    team = assembled(1)
    pass_by(team, 0, 1)
    assert not team.any()


@pytest.mark.parametrize("slow", [0, 1])
def test_all_wait_for_the_slowest(slow: int) -> None:
    team, done, seen = assembled(2), [], []

    def run(part: int) -> None:
        begin(team, 2)
        if part == slow:
            time.sleep(0.3)
            done.append(part)
        finish(team, part, 2)
        if part != slow:
            seen.append(list(done))
        leave(team)

    in_threads([Thread(target=run, args=(part,)) for part in (0, 1)])
    assert seen == [[slow]]


def test_the_second_takes_its_turn_after_the_first() -> None:
    """It goes on only when the first has begun the next step."""
    team, order = assembled(2), []

    def first() -> None:
        pass_by(team, 0, 2)
        time.sleep(0.3)
        order.append("first")
        begin(team, 2)

    def second() -> None:
        pass_by(team, 1, 2)
        order.append("second")

    in_threads([Thread(target=first), Thread(target=second)])
    assert order == ["first", "second"]


def test_who_leaves_lets_the_others_go() -> None:
    team = assembled(2)

    def waits() -> None:
        pass_by(team, 0, 2)

    def fails() -> None:
        time.sleep(0.2)
        leave(team)

    in_threads([Thread(target=waits), Thread(target=fails)])
    assert team.tolist() == [1, *[0] * 7, 1, *[0] * 7, 1, *[0] * 7, 1, *[0] * 15]
