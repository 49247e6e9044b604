"""Models in and out of memory, on a clock that the test sets and with memory that the test invents."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest

from umekomi.config import ModelSettings, TorchSettings
from umekomi.embedding.embedder import Embedder, open_embedder
from umekomi.errors import BrokenModel, Unavailable, UnknownModel
from umekomi.serve.residency import Policy, Residency
from umekomi.serve.residency.residency import BUSY_S, ROOM_WAIT_S


class World:
    """A residency of hashing models; opening one takes as many bytes as ``sizes`` says, closing gives them back."""

    def __init__(
        self,
        *models: ModelSettings,
        sizes: Mapping[str, int] | None = None,
        policy: Policy | None = None,
    ) -> None:
        self.now = 1000.0
        self.used_bytes = 0
        self._lock = threading.Lock()
        self.sizes = sizes or {}
        self.tried: list[str] = []
        self.opened: list[str] = []
        self.closed: list[str] = []
        self.broken: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.residency = Residency(
            models,
            open_model=self.open,
            policy=policy,
            clock=lambda: self.now,
            memory_bytes=lambda: self.used_bytes,
        )

    def open(self, settings: ModelSettings) -> Embedder:
        assert self.gate.wait(100)
        self.tried.append(settings.name)
        if settings.name in self.broken:
            raise BrokenModel(f"{settings.name} is cut short")
        self.take(self.sizes.get(settings.name, 0))
        self.opened.append(settings.name)
        embedder = open_embedder("hashing:8")
        close = embedder.close

        def close_and_tell() -> None:
            close()
            self.take(-self.sizes.get(settings.name, 0))
            self.closed.append(settings.name)

        embedder.close = close_and_tell  # type: ignore[method-assign]
        return embedder

    def take(self, size_bytes: int) -> None:
        with self._lock:  # models are opened and closed in threads
            self.used_bytes += size_bytes

    async def use(self, *names: str) -> None:
        for name in names:
            self.now += 1
            async with self.residency.lease(self.residency.resolve(name)) as embedder:
                assert embedder.embed(["text"], role="raw").vectors.shape == (1, 8)

    def hold(self, name: str, stack: AsyncExitStack) -> Awaitable[Embedder]:
        return stack.enter_async_context(self.residency.lease(self.residency.resolve(name)))

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.residency.sweep()

    @property
    def loaded(self) -> set[str]:
        return {r.settings.name for r in self.residency.residents if r.model is not None}


def model(name: str, **settings: object) -> ModelSettings:
    return ModelSettings.model_validate({"name": name, "source": "hashing:8", **settings})


def scenario(world: World, story: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        try:
            await story()
        finally:
            await world.residency.close()

    asyncio.run(asyncio.wait_for(run(), 120))
    assert sorted(world.closed) == sorted(world.opened)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("the condition did not come about")


def test_one_load_however_many_ask_and_it_outlives_who_gave_up() -> None:
    world = World(model("a"))
    world.gate.clear()

    async def story() -> None:
        asking = [asyncio.create_task(world.use("a")) for _ in range(20)]
        await asyncio.sleep(0)
        asking[0].cancel()
        world.gate.set()
        results = await asyncio.gather(*asking, return_exceptions=True)
        assert [type(result) for result in results if result is not None] == [asyncio.CancelledError]
        assert world.opened == ["a"]

    scenario(world, story)


def test_an_unknown_name_starts_nothing() -> None:
    world = World(model("a"))

    async def story() -> None:
        with pytest.raises(UnknownModel):
            await world.use("b")

    scenario(world, story)
    assert world.tried == []


def test_an_idle_model_is_unloaded_and_comes_back_with_the_next_request() -> None:
    world = World(
        model("short", keep_alive_s=60), model("long"), model("ever", keep_alive_s=None), model("pin", pinned=True)
    )

    async def story() -> None:
        await world.residency.preload()
        world.later(59)
        assert world.loaded == {"short", "long", "ever", "pin"}
        world.later(2)
        assert world.loaded == {"long", "ever", "pin"}
        world.later(10_000)
        assert world.loaded == {"ever", "pin"}
        await world.use("short")
        assert world.opened.count("short") == 2

    scenario(world, story)


def test_looking_on_is_no_use() -> None:
    world = World(model("a", keep_alive_s=60))

    async def story() -> None:
        await world.residency.preload()
        for _ in range(7):
            world.later(10)
            resident = world.residency.resolve("a")  # as lists, health and metrics do
            assert (resident.state, world.residency.busy_s(resident)) in [("loaded", 0), ("unloaded", 0)]
        assert world.loaded == set()

    scenario(world, story)


def test_a_model_in_use_is_never_unloaded() -> None:
    world = World(model("a", keep_alive_s=0), sizes={"a": 9})

    async def story() -> None:
        async with AsyncExitStack() as stack:
            embedder = await world.hold("a", stack)
            world.later(10_000)
            world.residency.replace([model("a", keep_alive_s=0)], policy=Policy(memory_budget_bytes=1))
            world.residency.replace([model("b")], policy=Policy(single_active=True))
            await asyncio.sleep(0.05)
            assert world.closed == []
            assert embedder.embed(["still here"], role="raw").vectors.shape == (1, 8)
        await until(lambda: world.closed == ["a"])

    scenario(world, story)


def test_the_budget_unloads_the_least_recently_used_but_no_pinned_one() -> None:
    world = World(
        model("pin", pinned=True),
        *(model(name) for name in "abc"),
        sizes=dict.fromkeys(["pin", "a", "b", "c"], 100),
        policy=Policy(memory_budget_bytes=300),
    )

    async def story() -> None:
        await world.use("pin", "a", "b", "a")
        assert world.loaded == {"pin", "a", "b"}
        await world.use("c")  # of unknown size: only now it turns out that there was no room
        assert world.loaded == {"pin", "a", "c"}
        await until(lambda: world.closed == ["b"])
        await world.use("b")
        assert world.loaded == {"pin", "b", "c"}
        assert world.used_bytes <= 300

    scenario(world, story)


def test_room_is_made_before_a_model_of_known_size_is_loaded() -> None:
    world = World(model("a"), model("b"), sizes={"a": 100, "b": 100}, policy=Policy(memory_budget_bytes=100))

    async def story() -> None:
        await world.use("b", "a")
        await until(lambda: world.used_bytes == 100)
        async with AsyncExitStack() as stack:
            await world.hold("a", stack)
            waiting = asyncio.create_task(world.use("b"))
            await asyncio.sleep(0.05)
            assert world.loaded == {"a"}
        await waiting
        assert world.loaded == {"b"}
        assert world.used_bytes == 100

    scenario(world, story)


def test_a_model_larger_than_the_budget_is_served_all_the_same() -> None:
    world = World(model("a"), model("b"), sizes={"a": 500, "b": 10}, policy=Policy(memory_budget_bytes=100))

    async def story() -> None:
        await world.use("b", "a", "a")
        assert world.loaded == {"a"}
        await world.use("b", "a")
        assert world.loaded == {"a"}

    scenario(world, story)


def test_single_active_keeps_one_beside_the_pinned() -> None:
    world = World(model("pin", pinned=True), model("a"), model("b"), policy=Policy(single_active=True))

    async def story() -> None:
        await world.residency.preload()
        assert world.loaded == {"pin", "a"}
        await world.use("b")
        assert world.loaded == {"pin", "b"}
        await world.use("pin", "a")
        assert world.loaded == {"pin", "a"}
        await asyncio.gather(*(world.use(name) for name in "abababab"))
        assert len(world.loaded) == 2

    scenario(world, story)


def test_who_waits_too_long_for_room_is_told_when_to_come_back() -> None:
    world = World(model("a"), model("b"), policy=Policy(single_active=True))

    async def story() -> None:
        async with AsyncExitStack() as stack:
            await world.hold("a", stack)
            waiting = asyncio.create_task(world.use("b"))
            await asyncio.sleep(0.01)
            world.later(ROOM_WAIT_S - 5)
            await asyncio.sleep(0.01)
            assert not waiting.done()
            world.later(10)
            with pytest.raises(Unavailable, match="in use") as refused:
                await waiting
            assert refused.value.retry_after_s > 0
        await world.use("b")  # at once: to wait in vain is no failure of loading

    scenario(world, story)


def test_a_failed_load_is_left_alone_for_ever_longer_and_disturbs_nobody() -> None:
    world = World(model("a"), model("bad", preload=False))
    world.broken.add("bad")

    async def refused() -> float:
        with pytest.raises(Unavailable) as answer:
            async with world.residency.lease(world.residency.resolve("bad")):
                pass
        return answer.value.retry_after_s

    async def story() -> None:
        for tries, wait in enumerate((10, 20, 40, 80, 160, 300, 300), start=1):
            assert await refused() == wait
            world.now += wait - 1
            assert await refused() == 1
            assert world.tried.count("bad") == tries
            await world.use("a")  # a second passes
        world.broken.clear()
        await world.use("bad")
        assert world.residency.resolve("bad").state == "loaded"

    scenario(world, story)


def test_preload_fails_where_nothing_could_be_loaded(caplog: pytest.LogCaptureFixture) -> None:
    world = World(model("bad"), model("worse"), model("later", preload=False))
    world.broken.update(("bad", "worse"))

    async def story() -> None:
        with pytest.raises(BrokenModel, match="worse is cut short"):
            await world.residency.preload()
        caplog.clear()
        with pytest.raises(Unavailable):
            world.later(60)
            await world.use("worse")
        assert caplog.text.count("worse is cut short") == 1  # later failures have their line again

    scenario(world, story)
    assert world.tried == ["bad", "worse", "worse"]


def test_why_nothing_could_be_loaded_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    world = World(model("bad"), model("worse"))
    world.broken.update(("bad", "worse"))

    async def story() -> None:
        with pytest.raises(BrokenModel, match="worse"):
            await world.residency.preload()

    scenario(world, story)
    assert "bad is cut short" in caplog.text
    assert "worse is cut short" not in caplog.text  # that one has been raised


def test_a_model_that_gets_nowhere_is_reported_until_it_does(caplog: pytest.LogCaptureFixture) -> None:
    world = World(model("a"))

    async def story() -> None:
        residency = world.residency
        async with AsyncExitStack() as first:
            await world.hold("a", first)
            world.later(BUSY_S - 10)
            async with AsyncExitStack() as second:
                await world.hold("a", second)
            world.later(BUSY_S - 10)  # long, but another request has finished in between
            assert residency.stuck == ()
            with pytest.raises(ZeroDivisionError):
                async with residency.lease(residency.resolve("a")):
                    raise ZeroDivisionError
            world.later(20)  # and one that failed is no progress
            world.later(20)
            assert [resident.settings.name for resident in residency.stuck] == ["a"]
            assert caplog.text.count("stuck model=a") == 1
        world.later(1)
        assert residency.stuck == ()

    scenario(world, story)


def test_other_models_while_running() -> None:
    world = World(model("same"), model("renamed", aliases=("old",)), model("other"), model("gone"))

    async def story() -> None:
        residency = world.residency
        await residency.preload()
        async with AsyncExitStack() as stack:
            embedder = await world.hold("gone", stack)
            changes = residency.replace(
                [
                    model("new"),
                    model("same"),
                    model("renamed", aliases=("young",), role="query"),
                    model("other", precision="int8"),
                ],
                policy=Policy(),
            )
            assert (changes.added, changes.removed) == (("new",), ("gone",))
            assert (changes.changed, changes.unchanged) == (("renamed", "other"), ("same",))
            assert set(residency.names) == {"new", "same", "renamed", "young", "other"}
            assert world.loaded == {"same", "renamed"}
            await until(lambda: world.closed == ["other"])
            assert embedder.embed(["in flight"], role="raw").vectors.shape == (1, 8)
        await until(lambda: world.closed == ["other", "gone"])
        await world.use("young", "same", "other")
        assert world.opened == ["same", "renamed", "other", "gone", "other"]

    scenario(world, story)


def test_a_model_removed_while_it_loads_serves_who_waited_and_is_closed() -> None:
    world = World(model("a"), model("b"))
    world.gate.clear()

    async def story() -> None:
        waiting = asyncio.create_task(world.use("a"))
        lonely = asyncio.create_task(world.use("b"))
        await asyncio.sleep(0.01)
        lonely.cancel()
        world.residency.replace([model("c")], policy=Policy())
        world.gate.set()
        await waiting
        await until(lambda: sorted(world.closed) == ["a", "b"])
        with pytest.raises(UnknownModel):
            await world.use("a")

    scenario(world, story)


def test_reloading_forgets_failures() -> None:
    world = World(model("a"))
    world.broken.add("a")

    async def story() -> None:
        with pytest.raises(Unavailable):
            await world.use("a")
        world.broken.clear()
        world.residency.replace([model("a")], policy=Policy())
        await world.use("a")

    scenario(world, story)


@pytest.mark.parametrize(
    ("new", "reopened"),
    [
        ({"torch": TorchSettings(pooling="cls")}, True),
        ({"engine": "onnx"}, True),
        ({"aliases": ("other",), "role": "query", "pinned": True, "keep_alive_s": None}, False),
    ],
)
def test_a_reload_opens_a_model_anew_where_it_would_be_another(new: dict[str, Any], reopened: bool) -> None:
    world = World(model("a"))

    async def story() -> None:
        await world.use("a")
        world.residency.replace([model("a").model_copy(update=new)], policy=Policy())
        await world.use("a")
        assert world.opened.count("a") == (2 if reopened else 1)

    scenario(world, story)
