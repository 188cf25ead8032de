"""How two requests, or two readings of one reply, are held against each other."""

import json

# Of the headers of a request: those that tell of the client and the connection only.
OF_CLIENT = ("user-agent", "host", "connection", "content-length", "accept-encoding", "x-goog-api-client", "traceparent")


def headers_of(request):
    return {name: value for name, value in request.headers.items() if name not in OF_CLIENT and not name.startswith("x-stainless-")}


def same_scalar(a, b):
    """Numbers are one kind: JSON has no other; true is none."""
    numbers = (int, float)
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, numbers) and isinstance(b, numbers):
        return a == b
    return type(a) is type(b) and a == b


def differences(a, b, path=""):
    """The places where two values differ: path -> (a's, b's); what is not there is said so."""
    absent = "(absent)"
    if isinstance(a, dict) and isinstance(b, dict):
        found = {}
        for key in sorted(set(a) | set(b)):
            below = "%s.%s" % (path, key) if path else key
            if key in a and key in b:
                found.update(differences(a[key], b[key], below))
            else:
                found[below] = (a.get(key, absent), b.get(key, absent))
        return found
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        found = {}
        for index, (x, y) in enumerate(zip(a, b)):
            found.update(differences(x, y, "%s[%d]" % (path, index)))
        return found
    return {} if same_scalar(a, b) else {path: (a, b)}


def compare_requests(package, ours, normal):
    """path -> (the package's, lmopt's), over method, path, headers and body. `normal`: a body as the vendor reads it."""

    def parts(request):
        return {"method": request.method, "path": request.path, "header": headers_of(request), "body": normal(json.loads(request.body))}

    return differences(parts(package), parts(ours))


def check(found, meant, sides=("the package", "lmopt")):
    """Everything that differs is meant to, and everything that is meant to differ does."""
    unexpected = ["%s: %s has %r, %s %r" % (path, sides[0], a, sides[1], b) for path, (a, b) in sorted(found.items()) if path not in meant]
    assert not unexpected, "\n".join(unexpected)
    missing = sorted(set(meant) - set(found))
    assert not missing, "no longer different: %s" % missing
