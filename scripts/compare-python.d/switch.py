"""Two that take turns: threads (by two semaphores, on one processor, as the interpreter lock has it anyway), greenlets, gevent's and asyncio's
tasks, a generator. Seconds for one switch. Arguments: ROUNDS."""
import asyncio
import json
import os
import sys
import threading
import time

try:
    import greenlet
except ImportError:
    greenlet = None
try:
    import gevent
except ImportError:
    gevent = None

ROUNDS = int(sys.argv[1])
PAIRS = 1000  # of switches: there and back


def threads(pairs):
    mine, theirs = threading.Semaphore(0), threading.Semaphore(0)

    def other():
        for _ in range(pairs):
            theirs.acquire()
            mine.release()

    thread = threading.Thread(target=other)
    thread.start()
    turns = 0
    for _ in range(pairs):
        theirs.release()
        mine.acquire()
        turns += 1
    thread.join()
    return turns


def greenlets(pairs):
    main = greenlet.getcurrent()

    def other():
        while True:
            main.switch()

    there, turns = greenlet.greenlet(other), 0
    for _ in range(pairs):
        there.switch()
        turns += 1
    return turns


def count_two(pairs, run):
    """Two tasks that give way `pairs` times each: how often both did, by half."""
    turns = [0, 0]
    run(turns, pairs)
    return sum(turns) // 2


def by_gevent(turns, pairs):
    def task(i):
        for _ in range(pairs):
            gevent.sleep(0)
            turns[i] += 1

    gevent.joinall([gevent.spawn(task, i) for i in range(2)])


def by_asyncio(turns, pairs):
    async def task(i):
        for _ in range(pairs):
            await asyncio.sleep(0)
            turns[i] += 1

    async def both():
        await asyncio.gather(task(0), task(1))

    asyncio.run(both())


def generator(pairs):
    def other():
        while True:
            yield 1

    there = other()
    return sum(next(there) for _ in range(pairs))


if __name__ == "__main__":
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    ways = {
        "thread": (threads, 2),
        "asyncio": (lambda pairs: count_two(pairs * 10, by_asyncio) // 10, 20),
        "generator": (lambda pairs: generator(pairs * 10) // 10, 20),
    }
    missing = {}
    if greenlet:
        ways["greenlet"] = (lambda pairs: greenlets(pairs * 10) // 10, 20)
    else:
        missing["greenlet"] = "greenlet is not installed"
    if gevent:
        ways["gevent"] = (lambda pairs: count_two(pairs * 10, by_gevent) // 10, 20)
    else:
        missing["gevent"] = "gevent is not installed"
    said = {way: {"unit": "seconds", "values": []} for way in ways}
    for _ in range(ROUNDS):
        for way, (run, switches_a_pair) in ways.items():
            start = time.perf_counter()
            said[way]["result"] = run(PAIRS)
            said[way]["values"].append((time.perf_counter() - start) / PAIRS / switches_a_pair)
    print(json.dumps({"ways": said, "missing": missing}))
