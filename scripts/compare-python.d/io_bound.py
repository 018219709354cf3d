"""IO-bound: asks a slow server for N squares: one after the other, by threads, by a pool of processes, by coroutines. Seconds for one.
Arguments: HOST PORT N ROUNDS."""
import asyncio
import json
import multiprocessing
import socket
import sys
import threading
import time

try:
    import gevent
    import gevent.socket
except ImportError:
    gevent = None

HOST, PORT, COUNT, ROUNDS = sys.argv[1], *map(int, sys.argv[2:])


def ask(n, connect=socket.create_connection):
    with connect((HOST, PORT)) as connection:
        connection.sendall(b"%d\n" % n)
        answer = b""
        while not answer.endswith(b"\n"):
            answer += connection.recv(64)
        return int(answer)


def by_threads():
    answers = []
    threads = [threading.Thread(target=lambda n=n: answers.append(ask(n))) for n in range(COUNT)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(answers)


def by_asyncio():
    async def ask_async(n):
        reader, writer = await asyncio.open_connection(HOST, PORT)
        writer.write(b"%d\n" % n)
        answer = int(await reader.readline())
        writer.close()
        return answer

    async def all_of_them():
        return sum(await asyncio.gather(*map(ask_async, range(COUNT))))

    return asyncio.run(all_of_them())


def by_gevent():
    tasks = [gevent.spawn(ask, n, gevent.socket.create_connection) for n in range(COUNT)]
    gevent.joinall(tasks)
    return sum(task.value for task in tasks)


if __name__ == "__main__":
    with multiprocessing.Pool(8) as pool:
        ways = {
            "serial": lambda: sum(map(ask, range(COUNT))),
            "thread": by_threads,
            "process": lambda: sum(pool.map(ask, range(COUNT), 1)),
            "asyncio": by_asyncio,
        }
        if gevent:
            ways["gevent"] = by_gevent
        said = {way: {"unit": "seconds", "values": []} for way in ways}
        pool.map(ask, range(8), 1)  # the workers are ready
        for _ in range(ROUNDS):
            for way, run in ways.items():
                start = time.perf_counter()
                said[way]["result"] = run()
                said[way]["values"].append((time.perf_counter() - start) / COUNT)
    missing = {} if gevent else {"gevent": "gevent is not installed"}
    print(json.dumps({"ways": said, "missing": missing}))
