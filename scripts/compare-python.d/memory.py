"""Memory that one holds which does nothing: a process, a thread, a coroutine; and a list of a million numbers against an iterator. Bytes, the
processes' proportional set size and what the kernel holds for stacks and page tables. Each round in a process of its own. Arguments: ROUNDS."""
import asyncio
import json
import multiprocessing
import re
import sys
import threading

try:
    import greenlet
except ImportError:
    greenlet = None

MILLION = 1_000_000


def held(*children):
    total = 0
    for process in ("self", *children):
        with open(f"/proc/{process}/smaps_rollup") as rollup:
            total += int(re.search(r"^Pss:\s+(\d+)", rollup.read(), re.M)[1])
    with open("/proc/meminfo") as meminfo:
        kernel = dict(re.findall(r"^(KernelStack|PageTables):\s+(\d+)", meminfo.read(), re.M))
    return 1024 * (total + sum(map(int, kernel.values())))


def process(count):
    fork = multiprocessing.get_context("fork")
    end, ready = fork.Event(), fork.Semaphore(0)

    def wait():
        ready.release()
        end.wait()

    before = held()
    children = [fork.Process(target=wait) for _ in range(count)]
    for child in children:
        child.start()
    for _ in children:
        ready.acquire()
    after = held(*(child.pid for child in children))
    end.set()
    for child in children:
        child.join()
    return (after - before) / count


def thread(count):
    end, ready = threading.Event(), threading.Semaphore(0)

    def wait():
        ready.release()
        end.wait()

    before = held()
    threads = [threading.Thread(target=wait) for _ in range(count)]
    for one in threads:
        one.start()
    for _ in threads:
        ready.acquire()
    after = held()
    end.set()
    for one in threads:
        one.join()
    return (after - before) / count


def tasks(count):
    async def all_of_them():
        end = asyncio.Event()
        before = held()
        waiting = [asyncio.create_task(end.wait()) for _ in range(count)]
        await asyncio.sleep(0)
        after = held()
        end.set()
        await asyncio.gather(*waiting)
        return (after - before) / count

    return asyncio.run(all_of_them())


def greenlets(count):
    main = greenlet.getcurrent()
    before = held()
    waiting = [greenlet.greenlet(main.switch) for _ in range(count)]
    for one in waiting:
        one.switch()
    return (held() - before) / count


def numbers_list(_):
    before = held()
    numbers = [n for n in range(MILLION)]
    after = held()
    assert sum(numbers) == MILLION * (MILLION - 1) // 2
    return after - before


def numbers_iterator(_):
    before = held()
    numbers = iter(range(MILLION))
    first = next(numbers)
    after = held()
    assert first + sum(numbers) == MILLION * (MILLION - 1) // 2
    return after - before


def in_a_process(measure, count):
    """A fresh process, so that what an earlier round freed does not hide what this one needs."""
    fork = multiprocessing.get_context("fork")
    receiver, sender = fork.Pipe(False)
    child = fork.Process(target=lambda: sender.send(measure(count)))
    child.start()
    sender.close()
    value = receiver.recv()
    child.join()
    return value


if __name__ == "__main__":
    rounds = int(sys.argv[1])
    ways = {"process": (process, 20), "thread": (thread, 200), "asyncio": (tasks, 10_000)}
    ways |= {"list": (numbers_list, 1), "iterator": (numbers_iterator, 1)}
    missing = {}
    if greenlet:
        ways["greenlet"] = (greenlets, 10_000)
    else:
        missing["greenlet"] = "greenlet is not installed"
    said = {way: {"unit": "bytes", "values": []} for way in ways}
    for _ in range(rounds):
        for way, (measure, count) in ways.items():
            said[way]["values"].append(in_a_process(measure, count))
    print(json.dumps({"ways": said, "missing": missing}))
