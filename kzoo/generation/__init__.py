"""Writing on with a language model: greedily, by chance or by beams, a symbol at a time or all at once.

```python
written = kzoo.generate(model, [letters.encode("ROMEO:")], 200, temperature=0.8, top_k=20)
for symbols in kzoo.generation.stream(model, prompts, 200): ...
kzoo.export.export(kzoo.generation.step_model(model, max_length=64), "out")
```
"""

from kzoo.generation.cached import step_model
from kzoo.generation.generate import generate, stream
from kzoo.generation.translate import translate

__all__ = ["generate", "step_model", "stream", "translate"]
