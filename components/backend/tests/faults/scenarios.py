"""The faults: a name, the words of the table, and what is done to the running service."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from faults.campaigns import kill_everybody
from faults.runs import Run, Scenario
from faults.stack import MESSENGERS, PROVIDER_LINKS, PROVIDERS, Member
from proxy import Proxy


async def nothing(run: Run) -> None:
    """For comparison."""
    await asyncio.sleep(run.left)


async def _repeat(run: Run, pause: float, action: Callable[[], Awaitable[None]]) -> None:
    await run.wait_for_load()
    while run.left:
        await action()
        await asyncio.sleep(min(pause, run.left))


async def kill_workers(run: Run) -> None:
    """Each second a worker that takes tasks, while another one does; a new one is started in its place at once."""

    async def kill() -> None:
        if len(working := run.stack.working()) > 1:
            await _replace(run, run.random.choice(working))

    await _repeat(run, 1, kill)


async def _replace(run: Run, member: Member) -> None:
    run.stack.note(f"kill -9 {member.kind} {member.mark}")
    await asyncio.to_thread(member.kill)
    run.stack.spawn(member.kind)
    if member.kind == "worker":
        await run.signs.killed(member)


async def stop_workers(run: Run) -> None:
    """In order, by SIGTERM, one after the other, with a new one in its place."""

    async def stop() -> None:
        if len(working := run.stack.working()) > 1:
            member = run.random.choice(working)
            run.stack.note(f"SIGTERM to worker {member.mark}")
            member.process.terminate()
            await asyncio.to_thread(member.process.exit_code)
            run.stack.spawn("worker")

    await _repeat(run, 2, stop)


async def kill_api(run: Run) -> None:
    """In the middle of requests; a new one is started at once."""

    async def kill() -> None:
        await asyncio.sleep(run.random.random())
        [member] = run.stack.living("api")
        await _replace(run, member)
        await run.stack.ready(run.stack.living("api")[0])

    await _repeat(run, 1, kill)


async def kill_scheduler(run: Run) -> None:
    async def kill() -> None:
        await _replace(run, run.random.choice(run.stack.living("scheduler")))
        await _replace(run, run.random.choice(run.stack.working()))

    await _repeat(run, 8, kill)


async def kill_broker(run: Run) -> None:
    async def kill() -> None:
        run.stack.note("kill -9 RabbitMQ", "worker-broker", "api-broker", "scheduler-broker")
        await asyncio.to_thread(run.stack.machines.rabbit.kill)
        await asyncio.sleep(run.random.random() * 2)
        await asyncio.to_thread(run.stack.machines.rabbit.start)
        await run.signs.await_return("RabbitMQ")

    await _repeat(run, 3, kill)


async def restart_database(run: Run) -> None:
    """In order (fast), and by kill -9."""

    async def restart() -> None:
        postgres = run.stack.machines.postgres
        run.stack.note("restart PostgreSQL", "worker-database")
        await asyncio.to_thread(run.random.choice((postgres.stop, postgres.kill)))
        await asyncio.sleep(run.random.random() * 3)
        await asyncio.to_thread(postgres.start)
        await run.signs.await_return("PostgreSQL")

    await _repeat(run, 2, restart)


async def terminate_backends(run: Run) -> None:
    """pg_terminate_backend, on one of the service's sessions, ten times a second."""

    async def terminate() -> None:
        async with run.stack.database() as connection:
            for _ in range(20):
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name LIKE 'gonets%' ORDER BY random() LIMIT 1"
                )
                await asyncio.sleep(0.1)

    await _repeat(run, 0, terminate)


async def _links_in_turn(run: Run, pause: float, do: Callable[[Proxy], Awaitable[None]]) -> None:
    """Each pair of a process and a server, in a random order."""
    await run.wait_for_load()
    names = list(run.stack.links)
    while run.left:
        run.random.shuffle(names)
        for name in names:
            run.stack.note("network", name)
            await do(run.stack.links[name])
            run.stack.note("network", name)
            if not name.startswith("client"):  # when those come back is for them to say
                await run.signs.await_return(name)
            await asyncio.sleep(pause)
            if not run.left:
                return


async def cut_links(run: Run) -> None:
    async def cut(link: Proxy) -> None:
        await link.cut()
        await asyncio.sleep(2)
        await link.restore()

    await _links_in_turn(run, 0.5, cut)


async def freeze_links(run: Run) -> None:
    """Silent for up to longer than a heartbeat takes to notice."""

    async def freeze(link: Proxy) -> None:
        link.freeze()
        await asyncio.sleep(run.random.choice((4, 4, 9)))
        link.thaw()

    await _links_in_turn(run, 0.5, freeze)


async def lose_links(run: Run) -> None:
    """Half-open: the connections stay, and swallow everything for ever; new ones work."""

    async def lose(link: Proxy) -> None:
        link.lose()

    await _links_in_turn(run, 0.5, lose)


async def reset_links(run: Run) -> None:
    async def reset(link: Proxy) -> None:
        link.reset()

    await _links_in_turn(run, 0.1, reset)


async def slow_links(run: Run) -> None:
    """A fifth of a second each way, everywhere."""
    for link in run.stack.links.values():
        link.delay = 0.2
    run.stack.note("network slow", *run.stack.links)
    await asyncio.sleep(run.left)
    for link in run.stack.links.values():
        link.delay = 0


def providers(**fault: object) -> Callable[[Run], Awaitable[None]]:
    """Both, from the seed, as long as tasks are handed in."""

    async def inject(run: Run) -> None:
        for name in PROVIDERS:
            await run.stack.fault(name, seed=run.random.randrange(10**6), **fault)
        await asyncio.sleep(run.left)
        await run.stack.providers_well()

    return inject


async def garbage(run: Run) -> None:
    kinds = ["garbage", "not_json", "wrong_json", "empty", "truncated"]

    async def change() -> None:
        for name in PROVIDERS:
            await run.stack.fault(name, kind=run.random.choice(kinds), rate=0.2, seed=run.random.randrange(10**6))

    await _repeat(run, 2, change)
    await run.stack.providers_well()


async def storm(run: Run) -> None:
    """Everything is refused with 429, for two seconds in four; some say how long to wait."""

    async def refuse() -> None:
        for name in PROVIDERS:
            wait = run.random.choice(({}, {"retry_after": 1}))
            await run.stack.fault(name, kind="429", **wait)
        await asyncio.sleep(2)
        await run.stack.providers_well()

    await _repeat(run, 2, refuse)


async def outage(run: Run) -> None:
    """Nobody can connect, longer than the tasks take to hand in."""
    await run.wait_for_load()
    run.stack.note("outage", *PROVIDER_LINKS)
    for name in PROVIDER_LINKS:
        await run.stack.links[name].cut()
    await asyncio.sleep(max(run.seconds * 2.4, run.left))
    for name in PROVIDER_LINKS:
        await run.stack.links[name].restore()
    run.stack.note("outage", *PROVIDER_LINKS)


async def full_disk(run: Run) -> None:
    await run.wait_for_load()
    run.stack.note("disk alarm")
    await asyncio.to_thread(run.stack.machines.rabbit.full_disk, True)
    await asyncio.sleep(max(run.left, run.seconds * 0.7))
    await asyncio.to_thread(run.stack.machines.rabbit.full_disk, False)
    await run.signs.await_return("the disk")


async def step_clock(run: Run) -> None:
    """Forward and back by up to a day, for PostgreSQL and the service; without libfaketime nothing happens."""

    async def step() -> None:
        run.stack.step_clock(run.random.choice((-86_400, -600, -30, 30, 600, 86_400)))

    await _repeat(run, 2, step)
    run.stack.step_clock(0)


async def kill_workers_and_api(run: Run) -> None:
    """Each second a worker; each third time the API as well."""

    async def kill() -> None:
        if len(working := run.stack.working()) > 1:
            await _replace(run, run.random.choice(working))
        if run.random.random() < 1 / 3:
            [member] = run.stack.living("api")
            await _replace(run, member)
            await run.stack.ready(run.stack.living("api")[0])

    await _repeat(run, 1, kill)


async def messengers(run: Run) -> None:
    """Those who bring messages to people: each two seconds they fail in another way."""
    kinds: Sequence[dict[str, object]] = (
        {"kind": "status", "status": 500, "rate": 0.3},
        {"kind": "hang", "rate": 0.05},
        {"kind": "reset", "rate": 0.1},
        {"kind": "reset_before", "rate": 0.1},
        {"kind": "garbage", "rate": 0.2},
        {"kind": "429", "retry_after": 1},
    )

    async def change() -> None:
        for name in MESSENGERS:
            await run.stack.fault(name, seed=run.random.randrange(10**6), **run.random.choice(kinds))

    await _repeat(run, 2, change)
    await run.stack.providers_well()


PIECES = (
    kill_workers,
    stop_workers,
    kill_api,
    kill_scheduler,
    kill_broker,
    restart_database,
    terminate_backends,
    cut_links,
    freeze_links,
    lose_links,
    reset_links,
    slow_links,
    providers(kind="status", status=500, rate=0.3),
    providers(kind="hang", rate=0.05),
    providers(kind="reset", rate=0.1),
    garbage,
    storm,
    outage,
    full_disk,
    step_clock,
)


async def everything(run: Run) -> None:
    """All of them, one after the other, in an order from the seed."""
    pieces = list(PIECES)
    run.random.shuffle(pieces)
    for inject in pieces:
        await inject(run.part(run.seconds / len(pieces) / 2))  # they wait for those who return as well


SCENARIOS: Sequence[Scenario] = (
    Scenario("quiet", "nothing breaks", nothing),
    Scenario("kill-worker", "`kill -9` a worker, every second", kill_workers),
    Scenario("stop-worker", "SIGTERM to a worker, every two seconds", stop_workers),
    Scenario("kill-api", "`kill -9` the API in the middle of requests", kill_api),
    Scenario("kill-scheduler", "`kill -9` a scheduler and a worker", kill_scheduler),
    Scenario("kill-broker", "`kill -9` RabbitMQ, and start it again", kill_broker),
    Scenario("restart-database", "PostgreSQL restarted, in order or by `kill -9`", restart_database),
    Scenario("kill-backend", "`pg_terminate_backend`, ten a second", terminate_backends),
    Scenario("network-cut", "each pair's network cut for 2 s", cut_links, longer=1.5),
    Scenario("network-frozen", "each pair's network silent for 4 to 9 s", freeze_links, longer=3),
    Scenario("network-half-open", "each pair's connections half-open, for ever", lose_links, longer=3),
    Scenario("network-reset", "each pair's connections reset", reset_links),
    Scenario("network-slow", "everything late by 0.2 s each way", slow_links),
    Scenario("provider-500", "providers: 30 % of the answers are 500",
             providers(kind="status", status=500, rate=0.3), may_fail=True),
    Scenario("provider-hang", "providers: 5 % hang", providers(kind="hang", rate=0.05), may_fail=True),
    Scenario("provider-garbage", "providers: 20 % garbage, cut or empty answers", garbage, may_fail=True),
    Scenario("provider-reset", "providers: 10 % reset after the request was read",
             providers(kind="reset", rate=0.1), may_fail=True),
    Scenario("provider-429", "providers: storms of 429", storm),
    Scenario("provider-outage", "providers: an outage of a minute", outage),
    Scenario("thrice", "every task handed in three times", nothing, copies=3),
    Scenario("full-disk", "the broker's disk is full (alarm)", full_disk),
    Scenario("clock", "clocks of PostgreSQL and the service stepped, up to a day", step_clock, fake_clock=True),
    Scenario("everything", "all of these in random order, every task handed in three times", everything,
             copies=3, longer=7, may_fail=True, unwatched=True, fake_clock=True),
    Scenario("notifications-kill", "notifications: `kill -9` a worker every second, and the API", kill_workers_and_api,
             copies=2, notifications=True),
    Scenario("notifications-providers", "notifications: 500, 429, hangs, resets and garbage by turns", messengers,
             copies=2, may_fail=True, notifications=True),
    Scenario("campaign-kill", "a campaign: `kill -9` workers and schedulers, wake-ups purged", kill_everybody,
             campaign=True),
)  # fmt: skip


async def hardest(run: Run) -> None:
    """What hurts most, in one go."""
    third = run.seconds / 3
    await kill_workers(run.part(third))
    await terminate_backends(run.part(third))
    await reset_links(run.part(third))


async def half_open_and_restart(run: Run) -> None:
    for name in ("worker-broker", "worker-database"):
        run.stack.note("half-open", name)
        run.stack.links[name].lose()
    await restart_database(run)


SHORT: Sequence[Scenario] = (
    Scenario("kill-and-reset", "workers killed, sessions ended, connections reset", hardest),
    Scenario("kill-broker", "`kill -9` RabbitMQ, and start it again", kill_broker),
    Scenario("half-open", "connections half-open, PostgreSQL restarted", half_open_and_restart),
    Scenario("provider-reset", "providers: 10 % reset after the request was read",
             providers(kind="reset", rate=0.1), may_fail=True),
)  # fmt: skip
