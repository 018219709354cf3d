"""One puts numbers, one gets them: between processes, threads, and asyncio's tasks; room for 1,000. Seconds for one. Arguments: COUNT ROUNDS."""
import asyncio
import json
import multiprocessing
import queue
import sys
import threading
import time


def put(to, count):
    for n in range(count):
        to.put(n)


def get(of, count, other):
    other.start()
    total = of.get()  # the other side is at it now
    start = time.perf_counter()
    for _ in range(count - 1):
        total += of.get()
    took = time.perf_counter() - start
    other.join()
    return total, took


def between_processes(count):
    numbers = multiprocessing.Queue(1000)
    return get(numbers, count, multiprocessing.Process(target=put, args=(numbers, count)))


def between_threads(count):
    numbers = queue.Queue(1000)
    return get(numbers, count, threading.Thread(target=put, args=(numbers, count)))


def between_tasks(count):
    async def both():
        numbers = asyncio.Queue(1000)

        async def put_all():
            for n in range(count):
                await numbers.put(n)

        other = asyncio.create_task(put_all())
        total = await numbers.get()
        start = time.perf_counter()
        for _ in range(count - 1):
            total += await numbers.get()
        took = time.perf_counter() - start
        await other
        return total, took

    return asyncio.run(both())


if __name__ == "__main__":
    count, rounds = map(int, sys.argv[1:])
    ways = {"process_queue": between_processes, "thread_queue": between_threads, "asyncio_queue": between_tasks}
    said = {way: {"unit": "seconds", "values": []} for way in ways}
    for _ in range(rounds):
        for way, run in ways.items():
            said[way]["result"], took = run(count)
            said[way]["values"].append(took / (count - 1))
    print(json.dumps({"ways": said}))
