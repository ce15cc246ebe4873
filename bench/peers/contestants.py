"""Who races in gpu_peers.py, at which shapes, and how many seconds each attempt is expected to take. This module
imports no torch.

A turn is one contestant at one shape in one round. The seconds in EXPECTED are estimates: no GPU has run them yet.
"""
import os
from collections import namedtuple

HEADLINE = "torch bf16 compiled,sparse bf16,cudasae"
SHAPES = ["4096,768,24576,32", "8192,2304,65536,64"]
DRY_SHAPES = ["64,64,512,8"]

# The table of agreement: relative differences from autograd by name, and a description of the errors.
CHECK_HEADER = ["peer", "precision", "loss", "W_enc", "W_dec", "b_enc", "b_dec", "five_steps", "allowed", "fault"]

# family: dense (gpu_torch.py), sparse (triton_sparse.py) or ours.
Contestant = namedtuple("Contestant", "name precision family compiled")
# An attempt without a shape is the agreement check.
Attempt = namedtuple("Attempt", "contestant shape round")

# Seconds of the check (with the import of torch for ours, whose check runs while the workers import it), of the
# first turn at a shape beyond its timed steps, and of every later turn beyond its timed steps.
EXPECTED = {"compiled": (40, 20, 2), "dense": (6, 3, 2), "sparse": (12, 5, 2), "ours": (20, 4, 4)}
EXPECTED_DRY = (8, 1, 1)
OURS_SECONDS_PER_GB = 2     # cudasae draws its weights on the host and copies them


def in_a_line(error):
    """The reason why a contestant returned no answer."""
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:160]}"


def field():
    """Returns all contestants. Those of the headline come first, so that a short budget reaches them. In a dry run
    nothing is compiled, and all are on the CPU."""
    dense = [Contestant(f"torch {p}{' compiled' if c else ''}", p, "dense", c)
             for p in ("bf16", "tf32", "fp32") for c in (True, False)]
    return [dense[0], Contestant("sparse bf16", "bf16", "sparse", False),
            Contestant("cudasae", "bf16", "ours", False), *dense[1:]]


def chosen(names, only):
    """Returns the members of `names` that --only selects; raises ValueError for another name. "sparse bf16" also
    selects "sparse bf16, Triton", and "cudasae" for "cudasae, cuda"."""
    if only in (None, "all"):
        return list(names)
    asked = [name.strip() for name in only.split(",") if name.strip()]
    matches = lambda name, one: name == one or name.startswith(one + ",")
    unknown = [one for one in asked if not any(matches(name, one) for name in names)]
    if unknown or not asked:
        known = dict.fromkeys(name.split(",")[0] for name in names)
        raise ValueError(f"--only: there is no {', '.join(unknown) or 'name'}; the contestants are {', '.join(known)}")
    return [name for name in names if any(matches(name, one) for one in asked)]


def shapes(given, dry):
    """Returns --shapes, or SHAPES of the environment, or the built-in shapes, each as B,d,n,k. Raises ValueError for
    another form."""
    result = [text.replace("x", ",") for text in given or os.environ.get("SHAPES", "").split()]
    for shape in result:
        numbers = shape.split(",")
        if len(numbers) != 4 or not all(number.isdecimal() and int(number) > 0 for number in numbers):
            raise ValueError(f"--shapes: {shape} is not B,d,n,k or BxdxNxk")
    return result or (DRY_SHAPES if dry else SHAPES)


def plan(entrants, given_shapes, rounds, agreed):
    """Returns the attempts in order: the checks, cudasae's first because the workers import torch meanwhile, then the
    rounds. A round visits every shape, and at a shape every contestant, in an order that rotates with the round."""
    checks = [Attempt(c, None, 0) for c in sorted(entrants, key=lambda c: c.family != "ours") if c.name not in agreed]
    turns = [Attempt(entrants[(i + r) % len(entrants)], shape, r)
             for r in range(rounds) for shape in given_shapes for i in range(len(entrants))]
    return checks + turns


def expected(attempt, a):
    """Returns the seconds that an attempt is expected to take."""
    c = attempt.contestant
    check, first, later = EXPECTED_DRY if a.dry else EXPECTED["compiled" if c.compiled else c.family]
    if attempt.shape is None:
        return check
    start = later if attempt.round else first
    if c.family != "ours":
        return start + a.seconds
    _, width, latents, _ = map(int, attempt.shape.split(","))
    return start + OURS_SECONDS_PER_GB * 8 * width * latents / 1e9


def limit(attempt, later, left, a):
    """Returns the seconds that an attempt may take of the remaining `left`. The expected seconds of the other
    contestants' later attempts are subtracted. The result is at least the attempt's expected seconds, and at most three
    times those plus 15."""
    own = expected(attempt, a)
    others = sum(expected(other, a) for other in later if other.contestant is not attempt.contestant)
    return min(left, max(own, min(3 * own + 15, left - others)))


def needed_bytes(contestant, shape):
    """Returns the minimum memory of a contestant: weights, gradients and Adam's two moments in float32, low-precision
    copies, and the [B, n] arrays that are alive at once."""
    rows, width, latents, _ = map(int, shape.split(","))
    half = contestant.precision == "bf16"
    weights, preacts = 2 * latents * width, rows * latents
    if contestant.family == "ours":
        return 12 * weights                     # weights as two halves, two moments; no gradients, no [B, n]
    # Dense: pre-activations, code, and the gradients of both. Sparse: pre-activations alone.
    arrays = (4 if contestant.family == "dense" else 1) * preacts * (2 if half else 4)
    return 16 * weights + (2 * weights if half else 0) + arrays
