"""The page at `/`: try a classifier on a picture. `page.html` is all of it; this says what it may know."""

import functools
from pathlib import Path

SIGNATURE = "classify_images"
HEADERS = {
    # Nothing from elsewhere is loaded, run or spoken to, and no other site may frame the page.
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@functools.cache
def html():
    """The page's text."""
    return (Path(__file__).parent / "page.html").read_text(encoding="utf-8")


def models_of(models):
    """What the page shows of each model of a `Models` manager.

    Returns:
        A list of dicts: `name`, `versions`, `labels`, `classifies` (whether it takes encoded pictures), `signatures`
        and `samples` (names of pictures).
    """
    shown = []
    for name in models.names():
        one = {"name": name, "versions": models.available(name), "labels": models.labels(name)}
        if one["versions"]:
            with models.use(name, one["versions"][-1]) as version:
                one["signatures"] = {
                    key: {
                        "inputs": {alias: str(spec) for alias, spec in signature.inputs.items()},
                        "outputs": {alias: str(spec) for alias, spec in signature.outputs.items()},
                    }
                    for key, signature in sorted(version.signatures.items())
                }
                one["classifies"] = SIGNATURE in version.signatures
                one["samples"] = sorted(version.samples)
        shown.append(one)
    return {"models": shown}
