# python_pools.py FIGURE [COUNT] - what Python's pools of two processes take, in nanoseconds: one number on stdout.
#
# SPDX-License-Identifier: BSL-1.0
import concurrent.futures
import multiprocessing
import os
import sys
import time

WORKERS = 2
context = multiprocessing.get_context("fork")


def same(x):
    return x


# Processor time, so that others who use the machine do not do the work.
def work(nanoseconds):
    end = time.thread_time_ns() + nanoseconds
    while time.thread_time_ns() < end:
        pass


def executor():
    return concurrent.futures.ProcessPoolExecutor(WORKERS, mp_context=context)


def timed(count, body):
    begin = time.perf_counter_ns()
    body()
    return (time.perf_counter_ns() - begin) / count


def round_trip_executor(count):
    with executor() as ex:
        ex.submit(same, 1).result()
        return timed(count, lambda: [ex.submit(same, 1).result() for _ in range(count)])


def round_trip_pool(count):
    with context.Pool(WORKERS) as pool:
        pool.apply(same, (1,))
        return timed(count, lambda: [pool.apply(same, (1,)) for _ in range(count)])


def task_executor(count):
    with executor() as ex:
        ex.submit(same, 1).result()
        return timed(count, lambda: [f.result() for f in [ex.submit(same, i) for i in range(count)]])


def task_pool(count):
    with context.Pool(WORKERS) as pool:
        pool.apply(same, (1,))
        return timed(count, lambda: [f.get() for f in [pool.apply_async(same, (i,)) for i in range(count)]])


def map_pool(count):
    with context.Pool(WORKERS) as pool:
        pool.apply(same, (1,))
        return timed(count, lambda: pool.map(same, range(count)))


def start_executor(count):
    def once():
        with executor() as ex:
            ex.submit(same, 1).result()

    return timed(count, lambda: [once() for _ in range(count)])


def start_pool(count):
    def once():
        with context.Pool(WORKERS) as pool:
            pool.apply(same, (1,))

    return timed(count, lambda: [once() for _ in range(count)])


def oversubscribed_executor(count):
    with concurrent.futures.ProcessPoolExecutor(16, mp_context=context) as ex:
        list(ex.map(work, [1000] * 64))
        return timed(count, lambda: [f.result() for f in [ex.submit(work, 100_000) for _ in range(count)]])


# The same tasks in two processes that need nobody to hand them out.
def alone(tasks, nanoseconds):
    def both():
        children = []
        for _ in range(WORKERS):
            child = os.fork()
            if child == 0:
                for _ in range(tasks // WORKERS):
                    work(nanoseconds)
                os._exit(0)
            children.append(child)
        for child in children:
            os.waitpid(child, 0)

    return timed(1, both)


# The length of tasks from which on half of the time is work.
def least_grain(run, milliseconds):
    before = None
    length = 4_000
    while length < 20_000_000:
        tasks = max(8, min(4_000, int(milliseconds * 1e6) * WORKERS // length))
        efficiency = alone(tasks, length) / timed(1, lambda: run(tasks, length))
        if efficiency >= 0.5:
            if before is None:
                return length
            # between the two, where the line through both has a half
            return length / 2 * 2 ** ((0.5 - before) / max(efficiency - before, 1e-9))
        before = efficiency
        length *= 2
    return length


def grain_executor(milliseconds):
    with executor() as ex:
        ex.submit(same, 1).result()
        return least_grain(
            lambda tasks, length: [f.result() for f in [ex.submit(work, length) for _ in range(tasks)]], milliseconds)


def grain_pool(milliseconds):
    with context.Pool(WORKERS) as pool:
        pool.apply(same, (1,))
        return least_grain(
            lambda tasks, length: [f.get() for f in [pool.apply_async(work, (length,)) for _ in range(tasks)]],
            milliseconds)


if __name__ == "__main__":
    print(globals()[sys.argv[1]](int(sys.argv[2])))
