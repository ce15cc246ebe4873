"""The attempts of gpu_peers.py one behind the other, each within its time limit, and the tables, which are written
after every attempt. This module imports no torch."""
import csv
import json
import os
import statistics
import sys
import tempfile
import time

import contestants
from contestants import CHECK_HEADER
from children import HERE, Failed, Hung, PeakMemory, Worker, run, smi_number

HEADER = ["rows", "width", "latents", "active", "contestant", "rounds", "median_ms", "min_ms", "max_ms",
          "times_cudasae_median", "times_cudasae_min", "times_cudasae_max", "peak_mib", "note"]


def write_table(path, header, rows):
    """Writes a whole table: a program that is killed here leaves the previous one."""
    with open(path + ".new", "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    os.replace(path + ".new", path)


def summary(values, digits):
    return [f"{f(values):.{digits}f}" for f in (statistics.median, min, max)] if values else ["", "", ""]


class Race:
    """a: the options of gpu_peers.py; until: time.monotonic() at which the last attempt must end."""

    def __init__(self, a, entrants, until):
        self.a, self.entrants, self.until = a, entrants, until
        self.results = {shape: {} for shape in a.shapes}    # by shape, name and round: (answer, peak MiB)
        self.notes = {}             # by name and shape: why no more turns follow at this shape
        self.out = {}               # by name: why no more attempts follow
        self.unchecked = ""         # why cudasae is timed without a check
        self.workers, self.checks = {}, {}
        self.agreement = os.path.join(a.out, "peers-agreement.csv")

    def run(self):
        if self.a.agreed:
            self.read_agreement()
        attempts = contestants.plan(self.entrants, self.a.shapes, self.a.rounds, self.checks)
        seconds = sum(contestants.expected(attempt, self.a) for attempt in attempts)
        print(f"the attempts are expected to take {seconds:.0f} s, by estimates; the budget is {self.a.budget:.0f} s",
              flush=True)
        for c in self.entrants:
            if c.family != "ours":
                self.workers[c.name] = Worker(c, self.a.dry)
        for i, attempt in enumerate(attempts):
            if not self.left_out(attempt):
                self.attempt(attempt, [other for other in attempts[i + 1:] if not self.left_out(other)])
                self.write()

    def left_out(self, attempt):
        name = attempt.contestant.name
        return name in self.out or (name, attempt.shape) in self.notes

    def attempt(self, attempt, later):
        c, shape = attempt.contestant, attempt.shape
        what = f"{shape}: round {attempt.round + 1}, {c.name}" if shape else f"agreement of {c.name}"
        begun = time.monotonic()
        left, own = self.until - begun, contestants.expected(attempt, self.a)
        try:
            if left < max(2, own / 2):
                raise Failed("no time was left")
            limit = contestants.limit(attempt, later, left, self.a)
            text = self.turn(c, shape, attempt.round, limit) if shape else self.check(c, limit)
            print(f"  {what}: {text}; {time.monotonic() - begun:.1f} s of at most {limit:.0f} s", flush=True)
        except Failed as error:
            print(f"  {what}: {error}", flush=True)
            if c.name in self.workers:
                self.workers.pop(c.name).end()      # its memory and its context may be unusable
            self.note(attempt, error)

    def note(self, attempt, error):
        """Skips a contestant that hangs in everything that follows, and one that fails at its shape. A contestant that
        could not be checked is not timed, except cudasae."""
        name = attempt.contestant.name
        if attempt.shape is None and attempt.contestant.family == "ours" and not isinstance(error, Hung):
            self.unchecked = f"not compared: {error}"
        elif attempt.shape is None:
            self.out[name] = f"not compared: {error}"
        elif isinstance(error, Hung):
            self.out[name] = f"{error} in round {attempt.round + 1} at {attempt.shape.replace(',', 'x')}"
        else:
            self.notes[name, attempt.shape] = str(error)

    def check(self, c, limit):
        """Compares a contestant with autograd; returns "agrees" or the differences."""
        if c.family == "ours":
            row = self.check_ours(limit)
        else:
            row = self.ask(c, limit, do="check")[0]["row"]
        self.checks[c.name] = row
        if row[-1]:
            self.out[c.name] = f"not timed: {row[-1]}"
        return row[-1] or "agrees with autograd"

    def check_ours(self, limit):
        """Runs the same comparison by check_peers.py in a separate process, so that this program needs no torch."""
        with tempfile.TemporaryDirectory() as folder:
            table, device = os.path.join(folder, "table.csv"), "cpu" if self.a.dry else "cuda"
            failed = None
            try:
                run([sys.executable, os.path.join(HERE, "check_peers.py"), "--only", "cudasae", "--device", device,
                     "--program", self.a.bench, "--backend", device, "--csv", table], limit)
            except Failed as error:     # also where the table lists differences
                failed = error
            if isinstance(failed, Hung) or not os.path.exists(table):
                raise failed or Failed("check_peers.py wrote no table")
            with open(table, newline="") as file:
                row = next(csv.DictReader(file))
        if not row["loss"]:
            raise Failed(row["fault"])
        return ["cudasae", *(row[name] for name in CHECK_HEADER[1:])]

    def ask(self, c, limit, **question):
        """Returns a worker's answer and its peak MiB: the memory it held before plus the memory that was added."""
        worker = self.workers[c.name]
        with PeakMemory() as memory:
            answer = worker.ask(limit, **question)
        peak = worker.held + memory.peak
        worker.ask(15, do="free")
        worker.held += memory.beyond()
        return answer, peak

    def turn(self, c, shape, r, limit):
        """Times a contestant at a shape and returns its milliseconds as text."""
        end = time.monotonic() + limit
        if r == 0:
            need, free = contestants.needed_bytes(c, shape) / 2 ** 30, smi_number("memory.free")
            if free and need > free / 1024:
                raise Failed(f"needs at least {need:.0f} GiB, {free / 1024:.0f} are free")
        if c.family != "ours" and c.name not in self.workers:       # the previous worker failed at another shape
            self.workers[c.name] = Worker(c, self.a.dry)
        left = end - time.monotonic()
        if c.family == "ours":
            with PeakMemory() as memory:
                answer = self.time_ours(shape, left)
            peak = memory.peak
        else:
            answer, peak = self.ask(c, left, do="time", shape=shape, seconds=self.a.seconds)
        self.results[shape].setdefault(c.name, {})[r] = (answer, peak)
        return f"{answer['step']:.3f} ms"

    def time_ours(self, shape, limit):
        rows, width, latents, active = shape.split(",")
        output = run([self.a.program, "bench", "step", "--json", "--backend", "cpu" if self.a.dry else "cuda",
                      "--aux-k", "0", "--batch-rows", rows, "--input-width", width, "--latents", latents,
                      "--k", active], limit)
        try:
            return json.loads(output.strip().splitlines()[-1])
        except (IndexError, ValueError):
            raise Failed("cudasae bench step wrote no JSON")

    def write(self):
        write_table(self.agreement, CHECK_HEADER, self.checks.values())
        for shape in self.a.shapes:
            write_table(self.path(shape), HEADER, self.rows(shape))

    def path(self, shape):
        return os.path.join(self.a.out, f"peers-{shape.replace(',', '-')}.csv")

    def rows(self, shape):
        ours, table = self.results[shape].get("cudasae", {}), []
        for c in self.entrants:
            rounds = self.results[shape].get(c.name, {})
            note = self.notes.get((c.name, shape)) or self.out.get(c.name) or ""
            note = note or (self.unchecked if c.family == "ours" else "")
            steps = [answer["step"] for answer, _ in rounds.values()]
            ratios = [answer["step"] / ours[r][0]["step"] for r, (answer, _) in rounds.items() if r in ours]
            peak = max((peak for _, peak in rounds.values()), default=0)
            if rounds or note:
                table.append([*shape.split(","), c.name, len(rounds), *summary(steps, 4), *summary(ratios, 3),
                              f"{peak:.0f}" if peak else "", note])
        return table

    def read_agreement(self):
        """Reads the checks of an earlier run."""
        if not os.path.exists(self.agreement):
            return
        with open(self.agreement, newline="") as file:
            for row in csv.DictReader(file):
                self.checks[row["peer"]] = [row[name] for name in CHECK_HEADER]
                if row["fault"]:
                    self.out[row["peer"]] = f"not timed: {row['fault']}"
