"""Which upstream gets the next request."""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bff.gate.routes import Balance
from bff.proxy.upstream.targets import FAILURES_IN_A_ROW, LONGEST_PAUSE_SECONDS, Balancer, Member


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def balancer(
    count: int, policy: Balance = Balance.ROUND_ROBIN
) -> tuple[Balancer[Member], list[Member], Time]:
    time, members = Time(), [Member() for _ in range(count)]
    return Balancer(members, policy, time), members, time


def picked(found: Balancer[Member]) -> Member:
    member = found.pick()
    assert member is not None
    found.release(member)
    return member


def break_down(member: Member, time: Time) -> None:
    for _ in range(FAILURES_IN_A_ROW):
        member.failed(time.now)


def test_requests_go_round() -> None:
    found, members, _ = balancer(3)
    assert [members.index(picked(found)) for _ in range(6)] == [0, 1, 2, 0, 1, 2]


def test_the_least_busy_one_is_next() -> None:
    found, members, _ = balancer(3, Balance.LEAST_CONNECTIONS)
    held = [found.pick() for _ in range(3)]
    assert held == members
    found.release(members[1])
    assert found.pick() is members[1]


def test_one_that_keeps_failing_is_left_alone_for_a_while() -> None:
    found, members, time = balancer(2)
    members[0].failed(time.now)
    assert picked(found) is members[0]  # once is an accident
    break_down(members[0], time)
    assert {picked(found) for _ in range(5)} == {members[1]}


def test_after_the_pause_one_request_tries_and_decides() -> None:
    found, members, time = balancer(2)
    break_down(members[0], time)
    time.now += 1.0
    tries = [found.pick() for _ in range(4)]
    assert Counter(tries) == {members[0]: 1, members[1]: 3}
    members[0].failed(time.now)  # the next pause is longer
    found.release(members[0])
    time.now += 1.0
    assert {picked(found) for _ in range(4)} == {members[1]}
    time.now += 1.0
    assert members[0] in {picked(found) for _ in range(4)}
    members[0].succeeded()
    assert {picked(found) for _ in range(4)} == set(members)


def test_an_outage_may_be_as_long_as_it_likes() -> None:
    """Past every power of two that a float can hold, and over as soon as one try succeeds."""
    found, members, time = balancer(2)
    for _ in range(1_100):
        time.now += LONGEST_PAUSE_SECONDS
        break_down(members[0], time)
    assert members[0].paused_until == time.now + LONGEST_PAUSE_SECONDS
    time.now += LONGEST_PAUSE_SECONDS
    assert members[0] in {found.pick(), found.pick()}
    members[0].succeeded()
    break_down(members[0], time)
    assert members[0].paused_until == time.now + 1.0


def test_failures_of_one_moment_are_one_outage() -> None:
    """Fifty calls under way when an upstream goes away must not keep it out for a minute."""
    _, members, time = balancer(2)
    for _ in range(50):
        members[0].failed(time.now)
    assert members[0].paused_until == time.now + 1.0


def test_a_try_that_came_to_nothing_leaves_the_way_open() -> None:
    found, members, time = balancer(2)
    break_down(members[0], time)
    time.now += 1.0
    assert members[0] in {picked(found) for _ in range(2)}  # released without a verdict
    assert members[0] in {picked(found) for _ in range(2)}


def test_when_all_are_left_alone_the_first_to_come_back_is_tried() -> None:
    found, members, time = balancer(2)
    break_down(members[1], time)
    time.now += 0.5
    break_down(members[0], time)
    assert picked(found) is members[1]


def test_a_lone_one_is_never_left_alone() -> None:
    found, members, time = balancer(1)
    break_down(members[0], time)
    assert picked(found) is members[0]


def test_pauses_have_an_end() -> None:
    _, members, time = balancer(2)
    for _ in range(200):
        members[0].failed(time.now)
    assert members[0].paused_until <= time.now + LONGEST_PAUSE_SECONDS


def test_one_that_was_tried_is_not_picked_again() -> None:
    found, members, _ = balancer(2)
    assert found.pick([members[0]]) is members[1]
    assert found.pick(members) is None


class Balancing(RuleBasedStateMachine):
    """No way of going on and failing makes the choice wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.found, self.members, self.time = balancer(3)
        self.held: list[Member] = []

    @rule()
    def pick(self) -> None:
        able = [member for member in self.members if member.may_serve(self.time.now)]
        member = self.found.pick()
        assert member is not None
        assert not able or member in able
        self.held.append(member)

    @precondition(lambda self: self.held)
    @rule(at=st.integers(0, 99), outcome=st.sampled_from(["answered", "failed", "given up"]))
    def end(self, at: int, outcome: str) -> None:
        member = self.held.pop(at % len(self.held))
        if outcome == "answered":
            member.succeeded()
        elif outcome == "failed":
            member.failed(self.time.now)
        self.found.release(member)

    @rule(seconds=st.floats(0, 100))
    def wait(self, seconds: float) -> None:
        self.time.now += seconds

    @invariant()
    def counts_agree(self) -> None:
        assert self.found.active == len(self.held)
        assert [member.active for member in self.members] == [
            self.held.count(member) for member in self.members
        ]


TestBalancing = Balancing.TestCase
TestBalancing.settings = settings(max_examples=60, stateful_step_count=40)
